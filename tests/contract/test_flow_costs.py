"""What each flow cost: the flows of a time, newest first, with their own usage. Memory and Redis."""

import asyncio
from typing import Any

from core.costs.flow_costs import FlowCost
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim
from core.time_of_day import now_ms
from tests.contract.test_call_ledger import BOUND
from tests.fixtures_ports import Flows, a_launch

HOUR = 3_600_000
REAL = Usage(1, 900, 20, 147_000)


async def spent(flows: Flows, flow: str, calls: int, **launch: Any) -> None:
    """Launch a flow that makes so many calls."""
    await flows.ledger.create(flows.tenant, a_launch(flow, created_ms=now_ms(), **launch))
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=60_000, events=[]
    )
    assert isinstance(claim, Claim)
    for number in range(1, calls + 1):
        who = flows.tenant, flow, claim.step, claim.epoch
        call = Call(*who, number, "m", "example", "one", BOUND)
        assert await flows.calls.reserve(call) is None
        await flows.calls.settle(call, REAL, [])


async def costs(flows: Flows, limit: int = 10, before: int | None = None, hours: int = 0):
    since, until = now_ms() - HOUR - hours * HOUR, now_ms() + HOUR - hours * HOUR
    return await flows.spending.by_flow(flows.tenant, since, until, limit, before)


async def test_each_flow_is_told_with_who_launched_it_and_all_that_it_cost(flows: Flows):
    await spent(flows, "f1", 2, launched_by="ann")
    await asyncio.sleep(0.01)
    await spent(flows, "f2", 0)
    two, one = await costs(flows)
    assert (one.flow, one.crew, one.subject) == ("f1", "example", "ann")
    assert one.usage == REAL + REAL
    assert (two.flow, two.subject, two.usage) == ("f2", "-", Usage())
    assert abs(one.created_ms - now_ms()) < HOUR


async def test_flows_come_in_pages(flows: Flows):
    for number in range(5):
        await spent(flows, f"f{number}", 0)
        await asyncio.sleep(0.002)
    seen, before = list[FlowCost](), None
    while page := await costs(flows, limit=2, before=before):
        seen += page
        before = page[-1].order
    assert [each.flow for each in seen] == ["f4", "f3", "f2", "f1", "f0"]


async def test_flows_of_another_time_or_tenant_are_not_told(flows: Flows):
    await spent(flows, "f1", 0)
    assert await costs(flows, hours=2) == []
    assert await costs(flows, hours=-2) == []
    now = now_ms()
    assert await flows.spending.by_flow("somebody-else", now - HOUR, now + HOUR, 10) == []
