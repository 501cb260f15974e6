"""Cancelling a flow while workers move it. Each test runs over memory and over Redis."""

import asyncio

import pytest

from core.crews.control import FlowControl
from core.crews.ledger import Claim, FencedError, StepWrite
from core.errors import ConflictError, NotFoundError
from core.flows import Status
from tests.fixtures_ports import Flows, a_launch, due


async def a_claim(flows: Flows) -> Claim:
    await flows.ledger.create(flows.tenant, a_launch())
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w1", lease_ms=30_000, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


async def test_a_queued_flow_is_cancelled_and_never_begun(flows: Flows):
    await flows.ledger.create(flows.tenant, a_launch())
    queued = await flows.ledger.state(flows.tenant, "f1")
    state = await FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow="f1")
    assert state.head.status is Status.CANCELLED
    with pytest.raises(FencedError):
        await flows.ledger.claim(
            flows.tenant, "f1", queued.steps[0], owner="w1", lease_ms=1000, events=[]
        )
    assert await due(flows, 0) == []


async def test_many_who_cancel_at_once_end_it_once(flows: Flows):
    await a_claim(flows)
    states = await asyncio.gather(
        *(
            FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow="f1")
            for _ in range(8)
        )
    )
    assert {state.head.status for state in states} == {Status.CANCELLED}
    log = await flows.log.entries(flows.tenant, "f1", 0, 100)
    assert sum("RUN_ERROR" in entry.json for entry in log) == 1
    assert [entry.number for entry in log] == list(range(1, len(log) + 1))


async def test_a_commit_and_a_cancel_race_and_both_leave_a_whole_log(flows: Flows):
    claim = await a_claim(flows)
    commit = flows.ledger.commit(claim, 1, {"output": 1, "raw": "1"}, StepWrite())
    cancel = FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow="f1")
    committed, state = await asyncio.gather(commit, cancel, return_exceptions=True)
    assert not isinstance(state, BaseException)
    done = (await flows.ledger.state(flows.tenant, "f1")).results
    assert done == (
        {} if isinstance(committed, FencedError) else {"one": {"output": 1, "raw": "1"}}
    )
    log = await flows.log.entries(flows.tenant, "f1", 0, 100)
    assert "RUN_ERROR" in log[-1].json


async def test_an_end_that_came_first_stands(flows: Flows):
    await flows.ledger.create(flows.tenant, a_launch())
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    with pytest.raises(ConflictError, match="failed already"):
        await FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow="f1")


async def test_there_must_be_something_to_cancel(flows: Flows):
    with pytest.raises(NotFoundError):
        await FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow="f9")
