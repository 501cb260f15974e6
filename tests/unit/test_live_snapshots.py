"""Watching a flow of which the log has not all that is asked for: a snapshot, and what follows it."""

import asyncio

import pytest

from core.adapters.memory import MemoryFlows
from core.flows import Flow, Status, hub, subscription
from tests.fixtures_ports import a_launch
from tests.live_parts import SOON, Counted, claimed, ended, seconds, seen, written


@pytest.mark.parametrize(
    "cursor", ["", "x", "00000000.1", "{0}.-1", "{0}.01", "{0}.1\n", "{0}", "9" * 5000]
)
async def test_a_cursor_that_cannot_be_served_gets_a_snapshot_and_what_follows(cursor: str):
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 4), pause=0)
    head = await log.head("t", "f1")
    watching = asyncio.create_task(seen(hub.Hub(log, SOON), cursor.format(head.incarnation)))
    await asyncio.sleep(0.05)
    await written(log, claim, range(4, 6))
    last = await ended(log)
    snapshot, *rest = await watching
    assert isinstance(snapshot, Flow)
    assert snapshot.head.last_event == head.last_event
    assert rest == list(range(head.last_event + 1, last + 1))


async def test_what_was_trimmed_is_replaced_by_a_snapshot():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 11), pause=0)
    log.trim("t", "f1", kept=6)
    snapshot, *_ = await seen(hub.Hub(log, SOON), total=0.05)
    assert isinstance(snapshot, Flow)


async def test_who_was_in_the_buffer_when_a_gap_came_is_not_handed_what_follows_it_as_the_next():
    hears = True
    log = Counted(lambda _: hears)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = hub.Hub(log, SOON)
    quick = asyncio.create_task(seen(watching, total=1.0))
    async with watching.subscribe("t", "f1", None) as slow:
        items = slow.items(seconds(10))
        assert await anext(items)
        await written(log, claim, range(1, 7))  # all of which the buffer holds
        await asyncio.sleep(0.02)
        hears = False
        await written(log, claim, range(7, 13), pause=0)
        log.trim("t", "f1", kept=2)
        numbers = [entry.number for entry in await MemoryFlows.entries(log, "t", "f1", 0, 100)]
        await asyncio.sleep(2 * SOON.silence)  # the log is read for want of messages
        snapshot = await anext(items)
    assert isinstance(snapshot, Flow)
    assert snapshot.head.snapshot_event == numbers[-1]
    assert any(isinstance(item, Flow) for item in await quick)


@pytest.mark.parametrize("cursor", ["deadbeef.3", "null", "undefined", "3", "{incarnation}.999"])
async def test_a_snapshot_of_an_ended_flow_is_followed_by_its_final_event(cursor: str):
    log = Counted()
    await log.create("t", a_launch())
    await claimed(log)
    last = await ended(log)
    incarnation = (await log.head("t", "f1")).incarnation
    snapshot, *rest = await seen(hub.Hub(log, SOON), cursor.format(incarnation=incarnation))
    assert isinstance(snapshot, Flow)
    assert rest == [last]


@pytest.mark.parametrize("kept", [1, 3])
async def test_a_trimmed_log_of_an_ended_flow_is_told_with_its_final_event(kept: int):
    log = Counted()
    await log.create("t", a_launch())
    await written(log, await claimed(log), range(1, 11), pause=0)
    last = await ended(log)
    log.trim("t", "f1", kept)
    snapshot, *rest = await seen(hub.Hub(log, SOON))
    assert isinstance(snapshot, Flow)
    assert rest == [last]


async def test_a_viewer_too_slow_for_the_end_gets_it_after_the_snapshot(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(subscription, "BUFFER_EVENTS", 5)
    monkeypatch.setattr(subscription, "BUFFER_CHARACTERS", 1)  # not even the final event fits
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = hub.Hub(log, SOON)
    async with watching.subscribe("t", "f1", None) as slow:
        items = slow.items(seconds(10))
        assert isinstance(await anext(items), list)
        second = asyncio.create_task(anext(items))
        await asyncio.sleep(0.02)  # it has read the log's beginning, and waits for what is new
        await written(log, claim, range(1, 31), pause=0)
        assert await second
        last = await ended(log)
        await asyncio.sleep(0.05)
        *_, snapshot, final = [item async for item in items]
    assert isinstance(snapshot, Flow)
    assert isinstance(final, list)
    assert [entry.number for entry in final] == [last]


async def test_a_slow_viewer_holds_nobody_up_and_goes_on_from_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(subscription, "BUFFER_EVENTS", 5)
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = hub.Hub(log, SOON)
    quick = asyncio.create_task(seen(watching))
    async with watching.subscribe("t", "f1", None) as slow:
        items = slow.items(seconds(10))
        first = await anext(items)
        assert isinstance(first, list)
        await written(log, claim, range(1, 31))
        await asyncio.sleep(0.02)
        assert watching.buffered() == {("t", "f1"): 5}
        snapshot = await anext(items)
        assert isinstance(snapshot, Flow)
        last = await ended(log)
        rest = [entry.number async for item in items for entry in item]
        assert rest == list(range(snapshot.head.last_event + 1, last + 1))
    assert await quick == list(range(1, last + 1))


async def test_a_cursor_ahead_of_the_log_waits_for_what_comes_after_it():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    head = await log.head("t", "f1")
    ahead = head.last_event + 3
    watching = asyncio.create_task(seen(hub.Hub(log, SOON), head.cursor(ahead)))
    await written(log, claim, range(1, 8))
    last = await ended(log)
    assert await watching == list(range(ahead + 1, last + 1))


@pytest.mark.parametrize("before_the_end", [True, False])
async def test_a_cursor_beyond_the_end_of_a_flow_gets_the_last_state(before_the_end: bool):
    log = Counted()
    await log.create("t", a_launch())
    cursor = (await log.head("t", "f1")).cursor(99)
    if not before_the_end:
        await ended(log)
    watching = asyncio.create_task(seen(hub.Hub(log, SOON), cursor))
    await asyncio.sleep(0.05)
    if before_the_end:
        await ended(log)
    state, final = await watching
    assert isinstance(state, Flow)
    assert state.head.status is Status.SUCCEEDED
    assert final == state.head.last_event
