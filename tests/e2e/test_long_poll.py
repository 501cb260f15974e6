"""Prefer: wait=N on the state of a flow: its 304 is held back, in case something changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.flows import Batch, Flow, Head
from functions import flow_status
from tests.e2e.apps import App, begin, end, gateway_event, opened, tell
from tests.e2e.test_lambda import invoked


async def waited(app: App, prefer: str, known: str | None = None) -> tuple[httpx.Response, float]:
    """Poll as somebody who is up to date; return the answer and the seconds it took."""
    tag = known or (await app.flows.head("acme", "f1")).etag
    before = time.monotonic()
    async with app.client(flow_status) as client:
        headers = {"prefer": prefer, "if-none-match": tag}
        answer = await client.get("/v1/flows/f1", headers=headers)
    return answer, time.monotonic() - before


async def meanwhile(work: Callable[[], Awaitable[Any]], seconds: float = 0.1) -> None:
    await asyncio.sleep(seconds)
    await work()


async def test_a_change_is_told_as_soon_as_it_happens(app: App):
    await begin(app.flows)
    (answer, seconds), _ = await asyncio.gather(
        waited(app, "wait=2"), meanwhile(lambda: end(app.flows))
    )
    assert 0.1 <= seconds < 1
    assert answer.status_code == 200
    assert answer.json() == (await app.flows.snapshot("acme", "f1")).public()
    assert answer.headers["etag"].endswith((await app.flows.head("acme", "f1")).etag)
    assert answer.headers["preference-applied"] == "wait=2"


async def test_what_does_not_change_the_state_does_not_end_the_wait(app: App):
    claim = await begin(app.flows)
    (answer, seconds), _ = await asyncio.gather(
        waited(app, "wait=1"), meanwhile(lambda: tell(app.flows, claim, 1))
    )
    assert 0.9 < seconds < 1.5
    assert answer.status_code == 304
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["retry-after"] == "2"


async def test_nobody_is_held_longer_than_the_host_may(app: App):
    await begin(app.flows)
    answer, seconds = await waited(app, "wait=100")
    assert 1.9 < seconds < 2.5  # the app's streams last two seconds
    assert answer.headers["preference-applied"] == "wait=2"


@pytest.mark.parametrize(
    ("prefer", "known"),
    [("wait=2", '"stale"'), ("wait=x", None), ("wait=0", None), ("respond-async", None)],
)
async def test_others_are_answered_at_once(app: App, prefer: str, known: str | None):
    await begin(app.flows)
    answer, seconds = await waited(app, prefer, known)
    assert seconds < 0.5
    assert answer.status_code == (200 if known else 304)
    assert "preference-applied" not in answer.headers


async def test_without_a_tag_the_state_is_told_at_once(app: App):
    await begin(app.flows)
    async with app.client(flow_status) as client, asyncio.timeout(0.5):
        answer = await client.get("/v1/flows/f1", headers={"prefer": "wait=2"})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


async def test_for_a_flow_that_has_ended_there_is_nothing_to_wait_for(app: App):
    await begin(app.flows)
    await end(app.flows)
    answer, seconds = await waited(app, "wait=2")
    assert seconds < 0.5
    assert answer.status_code == 304


async def test_a_wait_may_stand_on_any_of_several_lines(app: App):
    await begin(app.flows)
    async with app.client(flow_status) as client:
        lines = [("prefer", "respond-async"), ("prefer", "wait=1"), ("if-none-match", "*")]
        answer = await client.get("/v1/flows/f1", headers=lines)
    assert answer.headers["preference-applied"] == "wait=1"


async def test_after_the_wait_nobody_listens(app: App):
    await begin(app.flows)
    await waited(app, "wait=1")
    assert app.flows.subscribers("acme", "f1") == 0


class Counting(MemoryFlows):
    """Remembers which reads were asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        self.reads.append("head")
        return await super().head(tenant, flow, fresh=fresh)

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        self.reads.append("snapshot")
        return await super().snapshot(tenant, flow, fresh=fresh)

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        self.reads.append("entries")
        return await super().entries(tenant, flow, after, limit, fresh=fresh)


async def test_a_wait_costs_three_reads_however_many_wait(tmp_path: Path):
    with opened(tmp_path, flows := Counting(), stream_seconds=1) as app:
        await begin(flows)
        tag = (await flows.head("acme", "f1")).etag
        flows.reads.clear()
        answers = await asyncio.gather(*(waited(app, "wait=1", tag) for _ in range(10)))
    assert {answer.status_code for answer, _ in answers} == {304}
    assert flows.reads.count("head") == 10 + 1
    assert flows.reads.count("entries") == 1
    assert "snapshot" not in flows.reads


def test_on_lambda_the_wait_ends_before_the_invocation(app: App):
    tag = asyncio.run(_tag(app))
    headers = app.bearer() | {"if-none-match": tag, "prefer": "wait=25"}
    before = time.monotonic()
    answer = invoked(flow_status, gateway_event("GET", "/v1/flows/f1", headers), seconds=3.0)
    assert 0.7 < time.monotonic() - before < 2
    assert answer["statusCode"] == 304
    assert answer["headers"]["preference-applied"] == "wait=1"


async def _tag(app: App) -> str:
    await begin(app.flows)
    return (await app.flows.head("acme", "f1")).etag


async def test_who_has_gone_is_no_longer_waited_for(app: App):
    await begin(app.flows)
    lines = app.bearer() | {"if-none-match": "*", "prefer": "wait=2"}
    scope = {
        "type": "http", "method": "GET", "path": "/v1/flows/f1", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }  # fmt: skip

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    async with asyncio.timeout(1):
        await flow_status.app(scope, receive, send)
    assert app.flows.subscribers("acme", "f1") == 0
