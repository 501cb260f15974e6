"""Watching flows through the hub, whose subscriptions lose messages, go deaf, die, or never were."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from core.adapters.memory import MemoryFlows
from core.crews.ledger import Claim, StepWrite
from core.errors import NotFoundError, UnavailableError
from core.flows import Batch, Flow, Status, events, live, subscription
from tests.fixtures_ports import a_launch

LEASE_MS = 60_000
SOON = live.PollPolicy(silence=0.1, first=0.02, growth=1.2, longest=0.05, subscribe_again=0.3)


class Counted(MemoryFlows):
    """A log that counts what is asked of it, and whose subscriptions can be made to fail."""

    def __init__(self, heard: Callable[[int], bool | None] = lambda _: True) -> None:
        super().__init__()
        self.heard, self.asked, self.open = heard, list[str](), 0
        self.missing = self.away = False

    async def head(self, tenant: str, flow: str, *, fresh: bool = False):
        self._ask("head")
        return await super().head(tenant, flow, fresh=fresh)

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        self._ask("entries")
        return await super().entries(tenant, flow, after, limit, fresh=fresh)

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        self._ask("snapshot")
        return await super().snapshot(tenant, flow, fresh=fresh)

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        self._ask("live")
        if self.missing:
            raise UnavailableError("no such endpoint")
        self.open += 1
        try:
            async with super().live(tenant, flow) as live:
                yield _Filtered(live, self.heard)
        finally:
            self.open -= 1

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise UnavailableError("away")


class _Filtered:
    def __init__(self, live: AsyncIterator[Batch], heard: Callable[[int], bool | None]) -> None:
        self.live, self.heard = live, heard

    def __aiter__(self) -> "_Filtered":
        return self

    async def __anext__(self) -> Batch:
        while True:
            batch = await anext(self.live)
            verdict = self.heard(batch[0].number)
            if verdict is None:  # the connection is cut
                raise StopAsyncIteration
            if verdict:
                return batch


async def claimed(log: MemoryFlows) -> Claim:
    step = (await log.state("t", "f1")).steps[0]
    claim = await log.claim("t", "f1", step, owner="w", lease_ms=LEASE_MS, events=[])
    assert isinstance(claim, Claim)
    return claim


async def written(log: MemoryFlows, claim: Claim, numbers: range, pause: float = 0.005) -> None:
    for seq in numbers:
        await asyncio.sleep(pause)
        await log.emit(claim, seq, LEASE_MS, StepWrite(events.custom("count", seq)))


async def ended(log: MemoryFlows) -> int:
    """End the flow; return the number of its last event."""
    await log.transition(
        "t", "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )
    return (await MemoryFlows.head(log, "t", "f1")).sequence


def seconds(total: float) -> Callable[[], float]:
    end = asyncio.get_running_loop().time() + total
    return lambda: end - asyncio.get_running_loop().time()


async def seen(
    watching: live.Hub, cursor: str | None = None, total: float = 10
) -> list[int | Flow]:
    """Numbers of events, and snapshots between them, until the flow or the time ends."""
    found: list[int | Flow] = []
    async with watching.subscribe("t", "f1", cursor) as viewer:
        async for item in viewer.items(seconds(total)):
            found += [item] if isinstance(item, Flow) else [entry.number for entry in item]
    return found


@pytest.mark.parametrize(
    ("heard", "renewed"),
    [
        pytest.param(lambda number: number % 3 == 0, False, id="two of three messages lost"),
        pytest.param(lambda number: False, True, id="half-open: nothing arrives"),  # noqa: ARG005
        pytest.param(lambda number: None if number % 7 == 0 else True, True, id="cut"),
    ],
)
async def test_nothing_is_lost_and_nothing_repeated(heard, renewed: bool):
    log = Counted(heard)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(live.Hub(log, SOON)))
    await written(log, claim, range(1, 31))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))
    assert (log.asked.count("live") > 1) is renewed
    assert log.open == 0


async def test_where_there_is_no_subscription_the_log_is_polled_and_one_tried_again():
    log = Counted()
    log.missing = True
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(live.Hub(log, SOON)))
    await written(log, claim, range(1, 31))
    log.missing = False
    await asyncio.sleep(SOON.subscribe_again + 0.2)
    assert log.open == 1
    await written(log, claim, range(31, 41))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_an_outage_in_the_middle_loses_nothing():
    log = Counted(lambda _: None if log.away else True)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(live.Hub(log, SOON)))
    await written(log, claim, range(1, 11))
    log.away = True
    await written(log, claim, range(11, 21))
    await asyncio.sleep(0.2)
    log.away = False
    await written(log, claim, range(21, 31))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_an_outage_at_the_start_is_told():
    log = Counted()
    await log.create("t", a_launch())
    log.away = True
    with pytest.raises(UnavailableError):
        await seen(live.Hub(log, SOON))
    log.away = False
    assert await seen(live.Hub(log, SOON), total=0.05) == [1, 2]


async def test_a_flow_that_is_not_there_is_not_found():
    with pytest.raises(NotFoundError):
        await seen(live.Hub(Counted(), SOON))


async def test_a_hundred_viewers_share_one_subscription_and_one_reading():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    log.asked.clear()
    watching = live.Hub(log)  # whose silence is longer than this test
    viewers = [asyncio.create_task(seen(watching)) for _ in range(100)]
    await written(log, claim, range(1, 31))
    late = asyncio.create_task(seen(watching))
    await written(log, claim, range(31, 41))
    last = await ended(log)
    for viewer in [*viewers, late]:
        assert await viewer == list(range(1, last + 1))
    assert log.asked == ["head", "live", "entries"]
    assert log.open == 0


async def test_the_subscription_goes_with_the_last_viewer():
    log = Counted()
    await log.create("t", a_launch())
    watching = live.Hub(log, SOON)
    viewers = [asyncio.create_task(seen(watching)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert log.open == 1
    for viewer in viewers:
        viewer.cancel()
    await asyncio.wait(viewers)
    assert log.open == 0
    assert watching.buffered() == {}


async def test_a_flow_that_has_ended_is_replayed_without_a_subscription():
    log = Counted()
    await log.create("t", a_launch())
    await written(log, await claimed(log), range(1, 11), pause=0)
    last = await ended(log)
    log.asked.clear()
    assert await seen(live.Hub(log, SOON)) == list(range(1, last + 1))
    assert log.asked == ["head", "entries"]
    head = await log.head("t", "f1")
    async with live.Hub(log, SOON).subscribe("t", "f1", head.cursor()) as viewer:
        assert viewer.ended
    async with live.Hub(log, SOON).subscribe("t", "f1", head.cursor(last - 1)) as viewer:
        assert not viewer.ended


@pytest.mark.parametrize(
    "cursor", ["", "x", "00000000.1", "{0}.-1", "{0}.01", "{0}.1\n", "{0}", "9" * 5000]
)
async def test_a_cursor_that_cannot_be_served_gets_a_snapshot_and_what_follows(cursor: str):
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 4), pause=0)
    head = await log.head("t", "f1")
    watching = asyncio.create_task(seen(live.Hub(log, SOON), cursor.format(head.incarnation)))
    await asyncio.sleep(0.05)
    await written(log, claim, range(4, 6))
    last = await ended(log)
    snapshot, *rest = await watching
    assert isinstance(snapshot, Flow)
    assert snapshot.head.sequence == head.sequence
    assert rest == list(range(head.sequence + 1, last + 1))


async def test_what_was_trimmed_is_replaced_by_a_snapshot():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 11), pause=0)
    log.trim("t", "f1", kept=6)
    snapshot, *_ = await seen(live.Hub(log, SOON), total=0.05)
    assert isinstance(snapshot, Flow)


async def test_who_was_in_the_buffer_when_a_gap_came_is_not_handed_what_follows_it_as_the_next():
    hears = True
    log = Counted(lambda _: hears)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = live.Hub(log, SOON)
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
    assert snapshot.head.snapshot_sequence == numbers[-1]
    assert any(isinstance(item, Flow) for item in await quick)


@pytest.mark.parametrize("cursor", ["deadbeef.3", "null", "undefined", "3", "{incarnation}.999"])
async def test_a_snapshot_of_an_ended_flow_is_followed_by_its_final_event(cursor: str):
    log = Counted()
    await log.create("t", a_launch())
    await claimed(log)
    last = await ended(log)
    incarnation = (await log.head("t", "f1")).incarnation
    snapshot, *rest = await seen(live.Hub(log, SOON), cursor.format(incarnation=incarnation))
    assert isinstance(snapshot, Flow)
    assert rest == [last]


@pytest.mark.parametrize("kept", [1, 3])
async def test_a_trimmed_log_of_an_ended_flow_is_told_with_its_final_event(kept: int):
    log = Counted()
    await log.create("t", a_launch())
    await written(log, await claimed(log), range(1, 11), pause=0)
    last = await ended(log)
    log.trim("t", "f1", kept)
    snapshot, *rest = await seen(live.Hub(log, SOON))
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
    watching = live.Hub(log, SOON)
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
    watching = live.Hub(log, SOON)
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
        assert rest == list(range(snapshot.head.sequence + 1, last + 1))
    assert await quick == list(range(1, last + 1))


async def test_silence_yields_an_empty_batch():
    log = Counted()
    await log.create("t", a_launch())
    async with live.Hub(log, SOON).subscribe("t", "f1", None) as viewer:
        items = viewer.items(seconds(10))
        assert len(await anext(items)) == 2
        assert await anext(items) == []


async def test_a_long_log_is_replayed_in_pages_and_joined_to_what_is_live(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(subscription, "PAGE_EVENTS", 4)
    monkeypatch.setattr(subscription, "BUFFER_EVENTS", 10)
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 41), pause=0)
    watching = asyncio.create_task(seen(live.Hub(log, SOON)))
    await written(log, claim, range(41, 46))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_a_viewer_that_was_told_more_elsewhere_loses_nothing_to_a_subscription_that_lags():
    log = Counted(lambda _: False)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = live.Hub(log, SOON)
    first = asyncio.create_task(seen(watching))
    await asyncio.sleep(0.02)
    await written(
        log, claim, range(1, 4), pause=0
    )  # the subscription is deaf to these, for a while
    head = await log.head("t", "f1")
    second = asyncio.create_task(seen(watching, head.cursor(head.sequence - 1)))
    await asyncio.sleep(0.02)
    last = await ended(log)
    assert await second == list(range(head.sequence, last + 1))
    assert await first == list(range(1, last + 1))


async def test_a_cursor_ahead_of_the_log_waits_for_what_comes_after_it():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    head = await log.head("t", "f1")
    ahead = head.sequence + 3
    watching = asyncio.create_task(seen(live.Hub(log, SOON), head.cursor(ahead)))
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
    watching = asyncio.create_task(seen(live.Hub(log, SOON), cursor))
    await asyncio.sleep(0.05)
    if before_the_end:
        await ended(log)
    state, final = await watching
    assert isinstance(state, Flow)
    assert state.head.status is Status.SUCCEEDED
    assert final == state.head.sequence
