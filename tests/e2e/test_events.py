"""Watching a flow over server-sent events."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent
from starlette.types import Message

from core.adapters.memory import MemoryFlows
from core.crews.ledger import StepWrite
from core.errors import UnavailableError
from core.flows import Batch, Head, events, subscription
from functions import flow_events
from tests.e2e.apps import App, begin, end, opened, tell

PATH = "/v1/flows/f1/events"
BEGUN = ["RUN_STARTED", "STATE_SNAPSHOT", "STATE_DELTA", "STEP_STARTED"]


async def watched(app: App, cursor: str | None = None, path: str = PATH) -> httpx.Response:
    headers = {"last-event-id": cursor} if cursor is not None else {}
    async with app.client(flow_events) as client:
        return await client.get(path, headers=headers)


def read(answer: httpx.Response) -> list[ServerSentEvent]:
    return list(EventSource(answer).iter_sse())


def kinds(answer: httpx.Response) -> list[str]:
    return [json.loads(event.data)["type"] for event in read(answer)]


async def finished(app: App) -> Head:
    await begin(app.flows)
    return await end(app.flows)


async def test_a_late_first_viewer_gets_the_whole_story(app: App):
    head = await finished(app)
    answer = await watched(app)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["content-encoding"] == "identity"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert answer.text.startswith("retry: ")
    assert [event.id for event in read(answer)] == [head.cursor(n) for n in range(1, 7)]
    assert {event.event for event in read(answer)} == {"message"}
    assert kinds(answer) == [*BEGUN, "STATE_DELTA", "RUN_FINISHED"]


async def test_what_happens_while_one_watches_arrives_and_the_end_ends_the_stream(app: App):
    claim = await begin(app.flows)

    async def work() -> None:
        for seq in range(1, 6):
            await asyncio.sleep(0.01)
            await tell(app.flows, claim, seq)
        await end(app.flows)

    answer, _ = await asyncio.gather(watched(app), work())
    values = [json.loads(event.data).get("value") for event in read(answer)]
    assert [value for value in values if value] == [1, 2, 3, 4, 5]
    assert kinds(answer)[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("where", ["header", "query"])
async def test_a_viewer_who_comes_back_goes_on_after_the_last_event_it_saw(app: App, where: str):
    head = await finished(app)
    by_query = await watched(app, path=f"{PATH}?lastEventId={head.cursor(4)}")
    answer = by_query if where == "query" else await watched(app, head.cursor(4))
    assert [event.id for event in read(answer)] == [head.cursor(5), head.cursor(6)]


async def test_the_header_counts_more_than_the_address_the_stream_was_opened_with(app: App):
    head = await finished(app)
    answer = await watched(app, head.cursor(5), f"{PATH}?lastEventId={head.cursor(1)}")
    assert [event.id for event in read(answer)] == [head.cursor(6)]


async def test_who_has_seen_the_end_is_told_not_to_come_back(app: App):
    head = await finished(app)
    answer = await watched(app, head.cursor())
    assert answer.status_code == 204
    assert answer.content == b""


@pytest.mark.parametrize(
    "cursor", ["1", "-1", "00000000.1", "{incarnation}.99", "{incarnation}.01", "x" * 3000, "ä"]
)
async def test_a_cursor_of_no_use_gets_the_state_and_the_id_it_is_valid_at(app: App, cursor: str):
    head = await finished(app)
    sent = cursor.format(incarnation=head.incarnation).encode("latin-1").decode("latin-1")
    async with app.client(flow_events) as client:
        answer = await client.get(PATH, headers={b"last-event-id": sent.encode("latin-1")})
    event, final = read(answer)
    assert event.id == head.cursor(head.last_event - 1)
    state = await app.flows.snapshot("acme", "f1")
    assert json.loads(event.data) == {"type": "STATE_SNAPSHOT", "snapshot": state.public()}
    assert (json.loads(final.data)["type"], final.id) == ("RUN_FINISHED", head.cursor())
    assert (await watched(app, head.cursor())).status_code == 204


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*;q=0.1, text/event-stream"])
@pytest.mark.parametrize("form", ["{number}", "{cursor}"])
async def test_after_is_heeded_by_a_stream_too(app: App, accept: str, form: str):
    head = await finished(app)
    after = form.format(number=4, cursor=head.cursor(4))
    async with app.client(flow_events) as client:
        answer = await client.get(PATH, params={"after": after}, headers={"accept": accept})
    assert [event.id for event in read(answer)] == [head.cursor(5), head.cursor(6)]


async def test_after_is_refused_for_several_flows(app: App):
    await finished(app)
    answer = await watched(app, path="/v1/events?flows=f1&after=3")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/query/after"]


async def test_after_a_snapshot_the_stream_goes_on(app: App):
    claim = await begin(app.flows)
    answer, *_ = await asyncio.gather(
        watched(app, "00000000.1"), _later(lambda: tell(app.flows, claim, 1))
    )
    assert kinds(answer) == ["STATE_SNAPSHOT", "CUSTOM"]


async def _later(work: Callable[[], Any]) -> None:
    await asyncio.sleep(0.05)
    await work()


async def test_a_stream_ends_when_its_time_is_up_and_leaves_nobody_listening(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.2) as app:
        await begin(app.flows)
        async with asyncio.timeout(2):
            answer = await watched(app)
        assert answer.text.removesuffix(":\n").endswith("\n\n")  # whole, but for a heartbeat
        assert kinds(answer) == BEGUN
        assert app.flows.subscribers("acme", "f1") == 0


async def test_a_viewer_who_leaves_is_not_listened_for(app: App):
    await begin(app.flows)
    begun = asyncio.Event()

    async def receive() -> dict[str, str]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if b"RUN_STARTED" in message.get("body", b""):
            assert app.flows.subscribers("acme", "f1") > 0
            begun.set()

    lines = [(name.encode(), value.encode()) for name, value in app.bearer().items()]
    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "headers": lines}
    async with asyncio.timeout(1):
        await flow_events.app(scope, receive, send)
    assert app.flows.subscribers("acme", "f1") == 0


async def test_head_does_not_wait_for_anything_to_happen(app: App):
    await begin(app.flows)
    async with app.client(flow_events) as client, asyncio.timeout(1):
        answer = await client.head(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"


async def test_a_client_cut_fifty_times_sees_every_event_once_and_in_order(app: App):
    claim = await begin(app.flows)
    for seq in range(1, 101):
        await tell(app.flows, claim, seq)
    head = await end(app.flows)
    seen: list[str] = []
    cuts = 0
    while (answer := await watched(app, seen[-1] if seen else None)).status_code == 200:
        frames = answer.text.split("\n\n")  # the last one is what follows the last event: nothing
        whole = min(1 + cuts % 3, len(frames) - 1)
        cut = "\n\n".join([*frames[:whole], frames[whole][:20]])
        seen += [event.id for event in read(httpx.Response(200, headers=answer.headers, text=cut))]
        cuts += 1
    assert cuts > 50
    assert seen == [head.cursor(n) for n in range(1, head.last_event + 1)]


class Outage(MemoryFlows):
    """A store that stops answering after some reads of the log."""

    reads_left = 0

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        if self.reads_left < 0:
            raise UnavailableError("the store does not answer", 3)
        return await super().head(tenant, flow, fresh=fresh)

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise UnavailableError("the store does not answer", 3)
        return await super().entries(tenant, flow, after, limit, fresh=fresh)


async def test_an_outage_at_the_start_is_a_short_stream_so_the_viewer_comes_back(tmp_path: Path):
    flows = Outage()
    with opened(tmp_path, flows) as app:
        flows.reads_left = -1
        answer = await watched(app)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    comment, wait = answer.text.removesuffix("\n").split("\nretry: ")
    assert comment == ": not available"
    assert 3000 <= int(wait) < 6000


async def test_an_outage_in_the_middle_leaves_the_stream_whole(tmp_path: Path):
    flows = Outage()
    with opened(tmp_path, flows, stream_seconds=0.3) as app:
        await begin(flows)
        flows.reads_left = 1
        answer = await watched(app)
    assert answer.text.removesuffix(":\n").endswith("\n\n")  # whole, but for a heartbeat
    assert kinds(answer) == BEGUN


async def test_line_ends_in_what_an_agent_said_forge_no_event(app: App):
    claim = await begin(app.flows)
    said = events.custom("x", "\r\n\r\nid: 9\ndata: forged\n\n\u2028\0")
    await app.flows.emit(claim, 1, 30_000, StepWrite(said))
    head = await end(app.flows)
    answer = await watched(app)
    ids = [line for line in answer.text.split("\n") if line.startswith("id:")]
    assert len(ids) == head.last_event
    assert "forged" in answer.text


async def test_a_reader_that_is_too_slow_gets_the_state_in_the_place_of_what_it_missed(
    app: App,
):
    claim = await begin(app.flows)
    begun, open_again, sent = asyncio.Event(), asyncio.Event(), list[bytes]()

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if b"RUN_STARTED" in sent[-1]:
            begun.set()
            await open_again.wait()

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    lines = [(name.encode(), value.encode()) for name, value in app.bearer().items()]
    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "headers": lines}
    reading = asyncio.create_task(flow_events.app(scope, receive, send))
    await begun.wait()
    for seq in range(1, subscription.BUFFER_EVENTS + 500):
        await tell(app.flows, claim, seq)
    await asyncio.sleep(0.01)
    open_again.set()
    await asyncio.sleep(0.01)
    await end(app.flows)
    await reading
    answer = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=b"".join(sent)
    )
    assert kinds(answer) == [*BEGUN, "STATE_SNAPSHOT", "STATE_DELTA", "RUN_FINISHED"]
