"""What every RunLedger does with steps that are given back or put off, and with failures outside of them."""

import asyncio

import pytest

from core.crews.ledger import Claim, FencedError, StepBusy, StepWrite
from core.errors import NotFoundError
from core.flows import Status, events
from tests.contract.due_parts import LEASE_MS, claim, held, launched
from tests.fixtures_ports import Flows, due


async def test_a_released_step_is_pending_at_once_and_costs_no_attempt(flows: Flows):
    await launched(flows)
    claimed = await held(flows)
    assert await due(flows) == []
    for _ in range(2):  # the second is a reply that was lost
        await flows.ledger.release(
            claimed, 1, StepWrite(events.custom("x", 1)), delay_ms=0, reason="stops"
        )
    assert await due(flows) == ["f1"]
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    assert (step.state, step.epoch, step.attempts) == ("pending", 1, 0)
    with pytest.raises(FencedError):
        await flows.ledger.emit(claimed, 2, LEASE_MS, StepWrite())
    again = await held(flows)
    assert (again.epoch, again.attempt) == (2, 1)
    with pytest.raises(FencedError):
        await flows.ledger.commit(claimed, 2, {"output": 1}, StepWrite())


async def test_a_late_release_gives_back_nothing(flows: Flows):
    """Of a step that somebody else has, that is done, or whose flow has ended."""
    await launched(flows)

    async def refused(claimed: Claim) -> None:
        with pytest.raises(FencedError):
            await flows.ledger.release(claimed, 9, StepWrite(), delay_ms=0, reason="stops")

    lost = await held(flows, 0, lease_ms=1)
    await asyncio.sleep(0.01)
    again = await held(flows, 0)
    await refused(lost)
    await flows.ledger.commit(again, 1, {"output": 1}, StepWrite())
    await refused(again)
    ends = await held(flows, 1)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    await refused(ends)


async def test_failures_of_a_flow_that_has_ended_are_not_counted(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    assert await flows.ledger.record_failure(flows.tenant, "f1") == 0


async def test_a_deferred_step_is_busy_until_its_time_and_due_then(flows: Flows):
    await launched(flows)
    claimed = await held(flows)
    write = StepWrite(events.text_start("m1"), message="m1")
    await flows.ledger.release(claimed, 1, write, delay_ms=600, reason="the provider says later")
    log = await flows.log.entries(flows.tenant, "f1", 0, 100)
    kinds = [entry.type for entry in log]
    assert kinds[-4:] == ["STATE_DELTA", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "CUSTOM"]
    assert '"retry_after_ms":600' in log[-1].json
    busy = await claim(flows)
    assert isinstance(busy, StepBusy)
    assert 0 < busy.remaining_ms <= 600
    assert await due(flows) == []
    await asyncio.sleep(0.65)
    assert await due(flows) == ["f1"]
    assert (await held(flows)).attempt == 1


async def test_two_deferred_steps_are_both_due_at_their_times(flows: Flows):
    await launched(flows)
    for step, delay_ms in ((0, 100), (1, 900)):
        await flows.ledger.release(
            await held(flows, step), 1, StepWrite(), delay_ms=delay_ms, reason="later"
        )
    await asyncio.sleep(0.12)
    assert await due(flows) == ["f1"]
    await held(flows, 0)
    assert await due(flows) == []
    await asyncio.sleep(0.9)
    assert await due(flows) == ["f1"]


async def test_failures_outside_of_steps_are_counted_until_something_is_committed(flows: Flows):
    await launched(flows)
    assert [await flows.ledger.record_failure(flows.tenant, "f1") for _ in range(3)] == [
        1,
        2,
        3,
    ]
    await flows.ledger.commit(await held(flows), 1, {"output": 1}, StepWrite())
    assert await flows.ledger.record_failure(flows.tenant, "f1") == 1
    with pytest.raises(NotFoundError):
        await flows.ledger.record_failure(flows.tenant, "nowhere")
