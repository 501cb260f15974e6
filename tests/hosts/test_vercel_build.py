"""What Vercel makes of vercel.json, by its own CLI and its own Python runtime, without an account."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.upstash.http import HttpRedis
from tests.fixtures_api import SECRET, Api, process_environ
from tests.fixtures_ports import a_launch, over_redis
from tests.fixtures_servers import Rest
from tests.hosts import vercel_build
from tests.hosts.test_vercel import CONFIG, ROOT, destination
from tests.hosts.vercel_build import config_of

MOST_MIB = (
    160  # of a function; the next step of Vercel's CLI, packages fetched at a start, begins at 225
)
CRON_SECRET = "f3a91c07" * 4

pytestmark = pytest.mark.timeout(vercel_build.INSTALL_SECONDS + vercel_build.BUILD_SECONDS)


def test_the_output_has_every_function_whole_with_its_limit_and_streaming(built: Path):
    for file, settings in CONFIG["functions"].items():
        config = config_of(built, Path(file).stem)
        assert config["maxDuration"] == settings["maxDuration"]
        assert config["supportsResponseStreaming"]
        mapped = config["filePathMap"]
        missing = [name for name, path in mapped.items() if not (built / path).is_file()]
        assert missing == []
        assert not any(name.startswith("public/") for name in mapped)
        assert sum((built / path).stat().st_size for path in mapped.values()) < MOST_MIB * 2**20


def test_the_output_has_the_page_alone_for_static_files_and_all_routes_and_crons(built: Path):
    output = built / ".vercel" / "output"
    static = {str(path.relative_to(output / "static")) for path in (output / "static").rglob("*")}
    assert static == {path.name for path in (ROOT / "public").iterdir()}
    config = json.loads((output / "config.json").read_text("utf-8"))
    assert config["crons"] == CONFIG["crons"]
    ours = [route["dest"] for route in CONFIG["routes"] if "dest" in route]
    assert [route["dest"] for route in config["routes"] if "dest" in route][: len(ours)] == ours


Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask(built: Path, gateway: Rest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Send a request to the function to which vercel.json leads it."""
    folder = tmp_path_factory.mktemp("fn")
    environ = process_environ(gateway) | {"CRON_SECRET": CRON_SECRET}
    names = ("flow_status", "flow_events", "crew_launch", "sweep")
    with vercel_build.running(built, names, folder, environ) as bases:

        def send(method: str, path: str, **more: Any) -> httpx.Response:
            base = bases[destination(method, path.partition("?")[0]).removeprefix("/api/")]
            return httpx.request(method, base + path, timeout=20, **more)

        send.bases = bases  # type: ignore[attr-defined]
        yield send


async def test_functions_in_vercels_runtime_answer_like_anywhere_else(ask: Ask, gateway: Rest):
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    who = Api("").auth(flows.tenant)
    await flows.ledger.create(flows.tenant, a_launch("f1"))
    assert ask("GET", "/healthz").json() == {"status": "ok"}
    assert ask("GET", "/v1/flows").status_code == 401
    state = ask("GET", "/v1/flows/f1", headers=who)
    assert (state.status_code, state.json()["status"]) == (200, "queued")
    polled = ask("GET", "/v1/flows/f1", headers=who | {"if-none-match": state.headers["etag"]})
    assert (polled.status_code, polled.content) == (304, b"")
    assert ask("GET", "/v1/crews", headers=who).json()["crews"]
    launch = {"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}
    assert ask("POST", "/v1/flows", headers=who, json=launch).status_code == 202
    assert ask("DELETE", "/v1/flows/f1", headers=who).status_code == 409
    cancelled = ask("POST", "/v1/flows/f1/cancel", headers=who)
    assert cancelled.is_success
    page = ask("GET", "/v1/flows/f1/events?after=0", headers=who).json()
    assert page["events"][-1]["type"] == "RUN_ERROR"


async def test_a_stream_comes_as_it_is_written(ask: Any, gateway: Rest):
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch("f2"))
    begun = time.monotonic()
    url = ask.bases["flow_events"] + "/v1/flows/f2/events"
    with httpx.stream("GET", url, headers=Api("").auth(flows.tenant), timeout=20) as stream:
        first = next(stream.iter_text())
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert first
    assert time.monotonic() - begun < 10  # it lives for 55 s


def test_a_cron_sweeps_and_nobody_else_does(ask: Ask):
    bearer = {"authorization": f"Bearer {CRON_SECRET}"}
    answer = ask("GET", "/v1/sweep", headers=bearer)
    assert (answer.status_code, set(answer.json())) == (200, {"woken", "told"})
    assert ask("GET", "/v1/sweep", headers={"authorization": f"Bearer {SECRET}"}).status_code == 401
