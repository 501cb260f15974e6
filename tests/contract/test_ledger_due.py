"""When a flow is to be looked at next. Each test runs over memory and over Redis."""

import asyncio

from core.crews.ledger import Claim, StepWrite
from core.flows import Flow, Status, Step, events
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 30_000


async def launched(flows: Flows, flow: str = "f1") -> Flow:
    await flows.ledger.create(flows.tenant, a_launch(flow))
    return await flows.ledger.state(flows.tenant, flow)


async def held(flows: Flows, step: Step) -> Claim:
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w1", lease_ms=LEASE_MS, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


async def test_a_live_flow_is_always_due_and_put_off_when_taken(flows: Flows):
    await launched(flows)
    assert flows.tenant in await flows.ledger.tenants()
    assert await flows.ledger.take(flows.tenant, 10, 60_000) == ["f1"]
    assert await flows.ledger.take(flows.tenant, 10, 60_000) == []
    await flows.wake_queue.enqueue(flows.tenant, "f1")
    assert await flows.ledger.take(flows.tenant, 10, 60_000) == ["f1"]


async def test_of_many_due_flows_no_two_workers_take_the_same(flows: Flows):
    for number in range(12):
        await launched(flows, f"f{number}")
    taken = await asyncio.gather(*(flows.ledger.take(flows.tenant, 5, 60_000) for _ in range(4)))
    assert sorted(flow for part in taken for flow in part) == sorted(
        f"f{number}" for number in range(12)
    )


async def test_a_claimed_flow_is_due_after_its_lease_and_a_committed_one_at_once(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    assert await flows.ledger.take(flows.tenant, 10, 1) == []
    await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    assert await flows.ledger.take(flows.tenant, 10, 1) == ["f1"]


async def test_a_flow_that_ended_is_never_due_again(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(
        flows.tenant, "f1", Status.FAILED, status_epoch=0, events=events.run_error("x", "y")
    )
    await flows.wake_queue.enqueue(flows.tenant, "f1")
    assert await flows.ledger.take(flows.tenant, 10, 1) == []
