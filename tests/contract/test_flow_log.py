"""What every FlowLog does, and following a flow over it."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import pytest

from core import events, follow
from core.crews.ledger import Claim, Write
from core.errors import NotFoundError
from core.flows import Entry, Status
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 30_000


def seconds(total: float) -> Callable[[], float]:
    loop = asyncio.get_running_loop()
    end = loop.time() + total
    return lambda: end - loop.time()


async def begun(flows: Flows) -> Claim:
    await flows.ledger.create(flows.tenant, a_launch())
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w", lease_ms=LEASE_MS, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return claim


async def tell(flows: Flows, claim: Claim, numbers: range) -> None:
    for seq in numbers:
        await flows.ledger.emit(claim, seq, LEASE_MS, Write(events.custom("count", seq)))


async def end(flows: Flows) -> None:
    await flows.ledger.move(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )


async def followed(flows: Flows, after: int = 0, total: float = 5.0) -> list[Entry]:
    batches = follow.follow(flows.log, flows.tenant, "f1", after, seconds(total))
    async with contextlib.aclosing(batches):
        return [entry async for batch in batches for entry in batch]


async def test_an_unknown_flow_and_another_tenants_look_alike(flows: Flows):
    await begun(flows)
    for tenant, flow in ((flows.tenant, "nowhere"), ("somebody-else", "f1")):
        with pytest.raises(NotFoundError):
            await flows.log.head(tenant, flow)
        with pytest.raises(NotFoundError):
            await flows.log.snapshot(tenant, flow)


async def test_the_head_is_that_of_the_snapshot(flows: Flows):
    await begun(flows)
    head = await flows.log.head(flows.tenant, "f1")
    assert head == (await flows.log.snapshot(flows.tenant, "f1")).head
    assert head.etag == f'"1.{head.incarnation}.2"'


async def test_recent_flows_come_newest_first_in_pages(flows: Flows):
    for name in ("a", "b", "c"):
        await flows.ledger.create(flows.tenant, a_launch(name))
    page = await flows.log.recent(flows.tenant, 2)
    assert [summary.id for summary in page] == ["c", "b"]
    rest = await flows.log.recent(flows.tenant, 2, page[-1].created_us)
    assert [summary.id for summary in rest] == ["a"]
    assert await flows.log.recent("somebody-else", 2) == []


async def test_entries_come_in_pages_after_a_number(flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 6))
    page = await flows.log.entries(flows.tenant, "f1", 2, 3)
    assert [entry.number for entry in page] == [3, 4, 5]
    assert json.loads(page[0].event) == events.custom("count", 1)[0]
    assert await flows.log.entries(flows.tenant, "f1", 7, 3) == []


async def test_a_late_follower_gets_the_whole_log_and_the_end(flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 6))
    await end(flows)
    assert [entry.number for entry in await followed(flows)] == list(range(1, 9))
    assert [entry.number for entry in await followed(flows, after=6)] == [7, 8]


async def test_a_follower_sees_every_event_once_while_it_is_written(flows: Flows):
    claim = await begun(flows)
    watching = asyncio.create_task(followed(flows, total=20))
    for seq in range(1, 41):
        await tell(flows, claim, range(seq, seq + 1))
        await asyncio.sleep(0.002)
    await end(flows)
    seen = await watching
    assert [entry.number for entry in seen] == list(range(1, 44))
    assert events.is_final(seen[-1].event)


async def test_followers_that_come_and_go_lose_nothing(flows: Flows):
    claim = await begun(flows)

    async def hopping() -> list[int]:
        seen: list[int] = []
        while not seen or seen[-1] < 43:
            part = await followed(flows, after=seen[-1] if seen else 0, total=0.03)
            seen += [entry.number for entry in part]
        return seen

    watching = asyncio.create_task(hopping())
    await tell(flows, claim, range(1, 41))
    await end(flows)
    assert await watching == list(range(1, 44))


async def test_following_ends_with_the_time(flows: Flows):
    await begun(flows)
    async with asyncio.timeout(5):
        assert len(await followed(flows, total=0.1)) == 2


async def test_silence_yields_an_empty_batch(flows: Flows, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow, "SILENCE_SECONDS", 0.05)
    await begun(flows)
    batches = follow.follow(flows.log, flows.tenant, "f1", 2, seconds(5))
    async with contextlib.aclosing(batches):
        assert await anext(batches) == []


@pytest.mark.parametrize(
    "cursor", ["", "x", "00000000.1", "{0}.99", "{0}.-1", "{0}.01", "{0}.1\n", "{0}"]
)
async def test_a_cursor_that_cannot_be_served_gets_the_whole_state(flows: Flows, cursor: str):
    await begun(flows)
    head = await flows.log.head(flows.tenant, "f1")
    start = await follow.start(flows.log, flows.tenant, "f1", cursor.format(head.incarnation))
    assert start.snapshot is not None
    assert (start.number, start.ended) == (head.sequence, False)


async def test_a_cursor_of_this_flow_is_served(flows: Flows):
    await begun(flows)
    head = await flows.log.head(flows.tenant, "f1")
    for number in range(3):
        start = await follow.start(flows.log, flows.tenant, "f1", head.cursor(number))
        assert (start.number, start.snapshot) == (number, None)
    first = await follow.start(flows.log, flows.tenant, "f1", None)
    assert (first.number, first.snapshot, first.ended) == (0, None, False)


async def test_only_the_last_cursor_of_an_ended_flow_has_nothing_left(flows: Flows):
    await begun(flows)
    await end(flows)
    head = await flows.log.head(flows.tenant, "f1")
    last = await follow.start(flows.log, flows.tenant, "f1", head.cursor())
    late = await follow.start(flows.log, flows.tenant, "f1", head.cursor(2))
    assert (last.ended, late.ended) == (True, False)
