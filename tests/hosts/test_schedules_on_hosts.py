"""What a schedule calls does the same on every host, in the shape in which each host calls it."""

import json
import sys
from pathlib import Path

import httpx
import pytest

from infra.local.processes import Processes, answers_http, free_port
from tests.fixtures_servers import Rest
from tests.hosts.conftest import Place
from tests.hosts.lambda_functions import FROM_SOURCE, started
from tests.hosts.whole_flows import SCHEDULE, over_qstash
from tests.qstash_stub import Message, signature

DONE = {"sweep": {"woken": 0, "told": 0}, "retrain": {}}  # where nothing is due
CRON_SECRET = "f3a91c07" * 4


def called_over_http(url: str) -> list[httpx.Response]:
    """Call a function as a cron of Vercel does, and as a schedule of QStash."""
    signed = {"upstash-signature": signature(Message(url, b"", 0))}
    return [
        httpx.get(url, headers={"authorization": f"Bearer {CRON_SECRET}"}, timeout=30),
        httpx.post(url, headers=signed, timeout=30),
    ]


@pytest.mark.parametrize("function", DONE)
def test_a_schedule_has_the_same_done_on_lambda_and_over_http(
    place: Place, store: Rest, processes: Processes, function: str, tmp_path: Path
):
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/{function}"
    settings = place.settings_over(store) | over_qstash(
        "http://127.0.0.1:9", "http://127.0.0.1:9/v1/worker"
    )
    settings |= {f"CREWLINE_{function.upper()}_URL": url, "CRON_SECRET": CRON_SECRET}
    command = [sys.executable, "-m", "uvicorn", f"functions.{function}:app", "--port", str(port)]
    processes.start(function, [*command, "--lifespan", "off"], environ=settings)
    with started([function], {function: FROM_SOURCE}, settings, tmp_path) as functions:
        on_lambda = functions.invoke(function, SCHEDULE)
    processes.wait_until(function, lambda: answers_http(port), 30)
    answers = called_over_http(url)
    processes.stop(function)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [on_lambda, *(json.loads(answer.content) for answer in answers)] == [DONE[function]] * 3
