"""An execution of large results in AMP's words: sent in pieces, between which others are answered."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from core import bootstrap
from core.crews.clock import NoLimit
from core.crews.outcomes import Outcome
from core.flows.values import LargeValues
from core.json_text import PIECE_CHARACTERS
from functions import crew_amp
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
from tests.large_values import Writes, a_worker
from tests.pace import longest_turn
from tests.worker_parts import launched

TEXT = "one two, " * 450_000  # 4 MB; a result has it twice
STATUS = b"/amp/c/status/f"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path) as made, bootstrap.replace(values=LargeValues(lambda: made.blobs)):
        yield made


async def finished(app: App) -> None:
    flows, values = in_memory(app.flows, "t"), LargeValues(lambda: app.blobs)
    await launched(app.flows)
    worker = a_worker(flows, Writes(TEXT), values)
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.ENDED


async def sent(app: App, query: bytes) -> list[Message]:
    """What the function sends to somebody who reads as fast as it writes."""
    messages, body = list[Message](), [b""]

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": body.pop()} if body else await asyncio.Future()

    headers = [(n.encode(), v.encode()) for n, v in app.bearer("t").items()]
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": STATUS.decode(), "raw_path": STATUS,
        "query_string": query, "headers": [*headers, (b"accept-encoding", b"gzip, br")],
        "http_version": "1.1", "scheme": "http", "root_path": "", "client": None, "server": None,
    }  # fmt: skip
    await crew_amp.app(scope, receive, send)
    return messages


@pytest.mark.parametrize("query", [b"", b"result=object"])
async def test_large_results_are_sent_in_pieces_and_hold_nobody_up(app: App, query: bytes):
    await finished(app)
    asking = asyncio.create_task(sent(app, query))
    longest = await longest_turn(asking)
    start, *bodies = await asking
    pieces = [message.get("body", b"") for message in bodies]
    assert start["status"] == 200
    assert json.loads(b"".join(pieces))["state"] == "SUCCESS"
    assert sum(map(len, pieces)) > 4 * len(TEXT)
    assert max(map(len, pieces)) <= 2 * PIECE_CHARACTERS + 1_000
    assert longest < 0.1
