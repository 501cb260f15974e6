"""What every FlowLog does, and watching a flow over it."""

import asyncio
import json
from collections.abc import Callable

import pytest

from core.adapters.upstash.log import UpstashFlowLog
from core.crews.ledger import Claim, StepWrite
from core.errors import NotFoundError
from core.flows import Status, events
from core.flows.hub import Hub
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
        await flows.ledger.emit(claim, seq, LEASE_MS, StepWrite(events.custom("count", seq)))


async def end(flows: Flows) -> None:
    await flows.ledger.transition(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )


async def seen(flows: Flows, cursor: str | None = None, total: float = 5.0) -> list[int]:
    """The numbers of the events that a subscriber is handed until the flow or the time ends."""
    async with Hub(flows.log).subscribe(flows.tenant, "f1", cursor) as subscriber:
        items = subscriber.items(seconds(total))
        return [entry.number async for item in items if isinstance(item, list) for entry in item]


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
    rest = await flows.log.recent(flows.tenant, 2, page[-1].order)
    assert [summary.id for summary in rest] == ["a"]
    assert await flows.log.recent("somebody-else", 2) == []


async def test_entries_come_in_pages_after_a_number(flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 6))
    page = await flows.log.entries(flows.tenant, "f1", 4, 3)
    assert [entry.number for entry in page] == [5, 6, 7]
    assert json.loads(page[0].json) == events.custom("count", 1)[0]
    assert await flows.log.entries(flows.tenant, "f1", 9, 3) == []


async def test_a_log_keeps_so_many_events_however_many_come_at_once(flows: Flows):
    """And a page of them is read as such: no entry holds more than a hundred."""
    claim = await begun(flows)
    for seq in range(1, 41):
        await flows.ledger.emit(claim, seq, LEASE_MS, StepWrite(events.custom("count", seq) * 400))
    kept = await flows.log.entries(flows.tenant, "f1", 0, 100_000)
    assert 10_000 <= len(kept) <= 10_200
    assert [entry.number for entry in kept] == list(range(kept[0].number, kept[-1].number + 1))
    assert kept[-1].number == (await flows.log.head(flows.tenant, "f1")).last_event


async def test_a_late_viewer_gets_the_whole_log_and_the_end(flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 6))
    await end(flows)
    head = await flows.log.head(flows.tenant, "f1")
    assert await seen(flows) == list(range(1, 12))
    assert await seen(flows, head.cursor(6)) == list(range(7, 12))
    assert await seen(flows, head.cursor()) == []


async def test_a_viewer_sees_every_event_once_while_it_is_written(flows: Flows):
    claim = await begun(flows)
    watching = asyncio.create_task(seen(flows, total=20))
    for seq in range(1, 41):
        await tell(flows, claim, range(seq, seq + 1))
        await asyncio.sleep(0.002)
    await end(flows)
    assert await watching == list(range(1, 47))


async def test_a_viewer_that_comes_and_goes_loses_nothing(flows: Flows):
    claim = await begun(flows)
    head = await flows.log.head(flows.tenant, "f1")

    async def hopping() -> list[int]:
        found: list[int] = []
        while not found or found[-1] < 46:
            cursor = head.cursor(found[-1]) if found else None
            found += await seen(flows, cursor, total=0.03)
        return found

    watching = asyncio.create_task(hopping())
    await tell(flows, claim, range(1, 41))
    await end(flows)
    assert await watching == list(range(1, 47))


async def test_watching_ends_with_the_time(flows: Flows):
    await begun(flows)
    async with asyncio.timeout(5):
        assert await seen(flows, total=0.1) == [1, 2, 3, 4]


async def test_a_page_of_flows_is_full_though_some_of_the_listed_have_expired(flows: Flows):
    if not isinstance(flows.log, UpstashFlowLog):
        pytest.skip("nothing expires in memory")
    for number in range(9):
        await flows.ledger.create(flows.tenant, a_launch(f"f{number}"))
    for number in (8, 7, 6, 5, 3):
        await flows.log._redis.execute(["DEL", flows.keys.flow(flows.tenant, f"f{number}")])
    page = await flows.log.recent(flows.tenant, 2)
    assert [summary.id for summary in page] == ["f4", "f2"]
    rest = await flows.log.recent(flows.tenant, 3, page[-1].order)
    assert [summary.id for summary in rest] == ["f1", "f0"]


async def test_a_flow_keeps_who_launched_it(flows: Flows):
    await flows.ledger.create(flows.tenant, a_launch("by", launched_by="ann"))
    assert (await flows.ledger.state(flows.tenant, "by")).launched_by == "ann"
    assert (await flows.log.snapshot(flows.tenant, "by")).launched_by == "ann"
