"""Several flows on one connection, and the cursor that counts in all of them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from httpx_sse import ServerSentEvent

from core.identity import Principal
from functions import _streams, _watch, flow_events
from tests.e2e.apps import House, begin, end, gateway_event, opened, tell
from tests.e2e.test_events import read
from tests.e2e.test_lambda import invoked


async def watched(
    house: House, flows: str = "a,b", cursor: str | None = None, **who: str
) -> httpx.Response:
    headers = {"last-event-id": cursor} if cursor is not None else {}
    async with house.client(flow_events, **who) as client:
        return await client.get("/v1/events", params={"flows": flows}, headers=headers)


def of(told: list[ServerSentEvent], flow: str) -> list[str]:
    events = [json.loads(event.data) for event in told]
    return [event["event"]["type"] for event in events if event["flow"] == flow]


async def both(house: House) -> None:
    for flow in ("a", "b"):
        await begin(house.flows, flow)
        await end(house.flows, flow)


async def test_each_event_says_whose_it_is_and_each_flow_is_whole(house: House):
    await both(house)
    told = read(await watched(house))
    assert len(told) == 12
    for flow in ("a", "b"):
        assert of(told, flow)[0] == "RUN_STARTED"
        assert of(told, flow)[-1] == "RUN_FINISHED"
        assert len(of(told, flow)) == 6


async def test_the_id_of_every_event_leads_on_from_there(house: House):
    await both(house)
    told = read(await watched(house))
    assert "-" in told[0].id.split("~")
    for at, event in enumerate(told[:-1]):
        rest = read(await watched(house, cursor=event.id))
        assert sorted(e.data for e in rest) == sorted(e.data for e in told[at + 1 :])


async def test_who_has_seen_the_end_of_all_is_told_not_to_come_back(house: House):
    await both(house)
    last = read(await watched(house))[-1].id
    assert (await watched(house, cursor=last)).status_code == 204
    await begin(house.flows, "c")
    assert (await watched(house, "a,b,c", f"{last}~-")).status_code == 200


async def test_what_happens_in_one_does_not_wait_for_the_other(house: House):
    claim = await begin(house.flows, "a")
    await begin(house.flows, "b")

    async def work() -> None:
        for seq in range(1, 4):
            await asyncio.sleep(0.02)
            await tell(house.flows, claim, seq)
        await end(house.flows, "a")
        await end(house.flows, "b")

    answer, _ = await asyncio.gather(watched(house), work())
    told = read(answer)
    assert of(told, "a")[-5:] == ["CUSTOM", "CUSTOM", "CUSTOM", "STATE_DELTA", "RUN_FINISHED"]
    assert of(told, "b")[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("cursor", ["x", "x~y", "00000000.1~00000000.1", "~", "~~~", "x" * 2000])
async def test_a_cursor_of_no_use_gets_the_state_of_each(house: House, cursor: str):
    await both(house)
    told = read(await watched(house, cursor=cursor))
    assert of(told, "a") == of(told, "b") == ["STATE_SNAPSHOT"]
    heads = [await house.flows.head("acme", flow) for flow in ("a", "b")]
    assert told[-1].id == "~".join(head.cursor() for head in heads)


async def test_one_part_of_no_use_does_not_spoil_the_other(house: House):
    await both(house)
    good = (await house.flows.head("acme", "a")).cursor(5)
    told = read(await watched(house, cursor=f"{good}~\x7fx"))
    assert of(told, "a") == ["RUN_FINISHED"]
    assert of(told, "b") == ["STATE_SNAPSHOT"]


@pytest.mark.parametrize("flows", ["", "a,a", ",".join(f"f{n}" for n in range(21))])
async def test_flows_are_named_once_each_and_are_few(house: House, flows: str):
    answer = await watched(house, flows)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/flows"


@pytest.mark.parametrize("flows", ["a,none", "a,b.c", "a,", "theirs", "a,theirs"])
async def test_a_flow_that_is_not_there_is_not_found(house: House, flows: str):
    await both(house)
    await begin(house.flows, "theirs", "rival")
    assert (await watched(house, flows)).status_code == 404
    assert not any(record.viewers for record in house.flows._records.values())


async def test_twenty_flows_have_a_cursor_that_is_taken_back(house: House):
    names = [f"{n:064}" for n in range(20)]
    for name in names:
        await begin(house.flows, name)
        await end(house.flows, name)
    told = read(await watched(house, ",".join(names)))
    assert len(told) == 120
    assert len(told[-1].id) <= 512
    assert (await watched(house, ",".join(names), told[-1].id)).status_code == 204


async def test_a_stream_ends_when_its_time_is_up_and_leaves_nobody_listening(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.2) as house:
        for flow in ("a", "b"):
            await begin(house.flows, flow)
        async with asyncio.timeout(2):
            answer = await watched(house)
        assert len(read(answer)) == 8
        assert answer.text.endswith("\n\n")
        assert not any(record.viewers for record in house.flows._records.values())


def test_where_the_host_buffers_it_ends_with_what_is_there(house: House):
    asyncio.run(_begun(house))
    event = gateway_event("GET", "/v1/events?flows=a,b", house.bearer())
    answer = invoked(flow_events, event, seconds=5.0)
    assert "data: " in answer["body"]
    assert answer["body"].endswith("\n\n")


async def _begun(house: House) -> None:
    for flow in ("a", "b"):
        await begin(house.flows, flow)


async def test_head_holds_nothing_open(house: House):
    await _begun(house)
    async with house.client(flow_events) as client, asyncio.timeout(1):
        assert (await client.head("/v1/events?flows=a,b")).status_code == 200
    assert not any(record.viewers for record in house.flows._records.values())


async def test_who_has_too_many_streams_open_is_asked_to_come_back_later(house: House):
    await both(house)
    ann = Principal("acme", "ann", frozenset())
    with ExitStack() as places:
        for _ in range(_streams.STREAMS_PER_SUBJECT):
            places.enter_context(_streams.open_streams.one(ann))
        full = await watched(house)
        other = await watched(house, "c", tenant="rival")
    assert full.status_code == 200
    wait = full.text.removeprefix("retry: ").removesuffix("\n\n")
    assert 5000 <= int(wait) < 10_000
    assert other.status_code == 404
    assert len(read(await watched(house))) == 12


async def test_a_source_that_is_slow_holds_up_no_other():
    async def slow() -> AsyncGenerator[list]:
        await asyncio.sleep(60)
        yield []

    async def quick() -> AsyncGenerator[list]:
        for _ in range(3):
            yield []

    found = _watch.merged([slow(), quick()])
    async with asyncio.timeout(1):
        assert [await anext(found) for _ in range(3)] == [[(1, [])]] * 3
        await found.aclose()
