"""Several flows on one connection, and the cursor that counts in all of them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from httpx_sse import ServerSentEvent

from functions import flow_events
from functions._streams import sse_stream
from tests.e2e.apps import App, begin, end, gateway_event, opened, tell
from tests.e2e.test_events import read
from tests.e2e.test_lambda import invoked


async def watched(
    app: App, flows: str = "a,b", cursor: str | None = None, **who: str
) -> httpx.Response:
    headers = {"last-event-id": cursor} if cursor is not None else {}
    async with app.client(flow_events, **who) as client:
        return await client.get("/v1/events", params={"flows": flows}, headers=headers)


def of(told: list[ServerSentEvent], flow: str) -> list[str]:
    events = [json.loads(event.data) for event in told]
    return [event["event"]["type"] for event in events if event["flow"] == flow]


async def both(app: App) -> None:
    for flow in ("a", "b"):
        await begin(app.flows, flow)
        await end(app.flows, flow)


async def test_each_event_says_whose_it_is_and_each_flow_is_whole(app: App):
    await both(app)
    told = read(await watched(app))
    assert len(told) == 12
    for flow in ("a", "b"):
        assert of(told, flow)[0] == "RUN_STARTED"
        assert of(told, flow)[-1] == "RUN_FINISHED"
        assert len(of(told, flow)) == 6


async def test_the_id_of_every_event_leads_on_from_there(app: App):
    await both(app)
    told = read(await watched(app))
    assert "-" in told[0].id.split("~")
    for at, event in enumerate(told[:-1]):
        rest = read(await watched(app, cursor=event.id))
        assert sorted(e.data for e in rest) == sorted(e.data for e in told[at + 1 :])


async def test_who_has_seen_the_end_of_all_is_told_not_to_come_back(app: App):
    await both(app)
    last = read(await watched(app))[-1].id
    assert (await watched(app, cursor=last)).status_code == 204
    await begin(app.flows, "c")
    assert (await watched(app, "a,b,c", f"{last}~-")).status_code == 200


async def test_what_happens_in_one_does_not_wait_for_the_other(app: App):
    claim = await begin(app.flows, "a")
    await begin(app.flows, "b")

    async def work() -> None:
        for seq in range(1, 4):
            await asyncio.sleep(0.02)
            await tell(app.flows, claim, seq)
        await end(app.flows, "a")
        await end(app.flows, "b")

    answer, _ = await asyncio.gather(watched(app), work())
    told = read(answer)
    assert of(told, "a")[-5:] == ["CUSTOM", "CUSTOM", "CUSTOM", "STATE_DELTA", "RUN_FINISHED"]
    assert of(told, "b")[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("cursor", ["x", "x~y", "00000000.1~00000000.1", "~", "~~~", "x" * 2000])
async def test_a_cursor_of_no_use_gets_the_state_of_each(app: App, cursor: str):
    await both(app)
    told = read(await watched(app, cursor=cursor))
    assert of(told, "a") == of(told, "b") == ["STATE_SNAPSHOT", "RUN_FINISHED"]
    heads = [await app.flows.head("acme", flow) for flow in ("a", "b")]
    assert told[-1].id == "~".join(head.cursor() for head in heads)


async def test_one_part_of_no_use_does_not_spoil_the_other(app: App):
    await both(app)
    good = (await app.flows.head("acme", "a")).cursor(5)
    told = read(await watched(app, cursor=f"{good}~\x7fx"))
    assert of(told, "a") == ["RUN_FINISHED"]
    assert of(told, "b") == ["STATE_SNAPSHOT", "RUN_FINISHED"]


@pytest.mark.parametrize("flows", ["", "a,a", ",".join(f"f{n}" for n in range(21))])
async def test_flows_are_named_once_each_and_are_few(app: App, flows: str):
    answer = await watched(app, flows)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/flows"


@pytest.mark.parametrize("flows", ["a,none", "a,b.c", "a,", "theirs", "a,theirs"])
async def test_a_flow_that_is_not_there_is_not_found(app: App, flows: str):
    await both(app)
    await begin(app.flows, "theirs", "rival")
    assert (await watched(app, flows)).status_code == 404
    assert not any(record.subscribers for record in app.flows._records.values())


@pytest.mark.parametrize(
    ("flows", "detail"),
    [
        ("a,none,b", "of the flows not there: number 2"),
        ("a,theirs,none", "of the flows not there: number 2, 3"),
        ("a,b.c", "of the flows not there: number 2"),
    ],
)
async def test_of_several_flows_it_is_told_which_are_not_there(app: App, flows: str, detail: str):
    await both(app)
    await begin(app.flows, "theirs", "rival")
    assert (await watched(app, flows)).json()["detail"] == detail
    async with app.client(flow_events) as client:
        body = {"flows": flows.split(",")}
        answer = await client.post("/v1/events/ticket", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (404, detail)


async def test_twenty_flows_have_a_cursor_that_is_taken_back(app: App):
    names = [f"{n:064}" for n in range(20)]
    for name in names:
        await begin(app.flows, name)
        await end(app.flows, name)
    told = read(await watched(app, ",".join(names)))
    assert len(told) == 120
    assert len(told[-1].id) <= 512
    assert (await watched(app, ",".join(names), told[-1].id)).status_code == 204


async def test_a_stream_ends_when_its_time_is_up_and_leaves_nobody_listening(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.2) as app:
        for flow in ("a", "b"):
            await begin(app.flows, flow)
        async with asyncio.timeout(2):
            answer = await watched(app)
        assert len(read(answer)) == 8
        assert answer.text.removesuffix(":\n").endswith("\n\n")  # whole, but for a heartbeat
        assert not any(record.subscribers for record in app.flows._records.values())


def test_where_the_host_buffers_it_ends_with_what_is_there(app: App):
    asyncio.run(_begun(app))
    event = gateway_event("GET", "/v1/events?flows=a,b", app.bearer())
    answer = invoked(flow_events, event, seconds=5.0)
    assert "data: " in answer["body"]
    assert answer["body"].endswith("\n\n")


async def _begun(app: App) -> None:
    for flow in ("a", "b"):
        await begin(app.flows, flow)


async def test_head_holds_nothing_open(app: App):
    await _begun(app)
    async with app.client(flow_events) as client, asyncio.timeout(1):
        assert (await client.head("/v1/events?flows=a,b")).status_code == 200
    assert not any(record.subscribers for record in app.flows._records.values())


async def test_a_source_that_is_slow_holds_up_no_other():
    async def slow() -> AsyncGenerator[list]:
        await asyncio.sleep(60)
        yield []

    async def quick() -> AsyncGenerator[list]:
        for _ in range(3):
            yield []

    found = sse_stream.merged([slow(), quick()])
    async with asyncio.timeout(1):
        assert [await anext(found) for _ in range(3)] == [[(1, [])]] * 3
        await found.aclose()
