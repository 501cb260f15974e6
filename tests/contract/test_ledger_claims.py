"""What every RunLedger does: of those who claim a step one has it, and who lost it writes no more."""

import asyncio

import pytest

from core.crews.ledger import Claim, FencedError, StepBusy, StepWrite
from core.flows import Status, events
from tests.contract.ledger_parts import LEASE_MS, claimed, held, launched, log_of
from tests.fixtures_ports import Flows


async def test_the_first_claim_makes_the_flow_running(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    assert claim.epoch == 1
    after = await flows.ledger.state(flows.tenant, "f1")
    assert (after.head.status, after.head.version) == (Status.RUNNING, 2)
    assert (after.steps[0].state, after.steps[0].epoch) == ("running", 1)


async def test_a_claim_whose_reply_was_lost_is_granted_again_as_it_was(flows: Flows):
    state = await launched(flows)
    assert await held(flows, state.steps[0]) == await held(flows, state.steps[0])
    assert len(await log_of(flows)) == 4


async def test_of_twenty_workers_racing_for_a_step_exactly_one_gets_it(flows: Flows):
    state = await launched(flows)

    async def race(owner: str) -> bool:
        try:
            return isinstance(await claimed(flows, state.steps[0], owner), Claim)
        except FencedError:
            return False

    assert sum(await asyncio.gather(*(race(f"w{i}") for i in range(20)))) == 1
    assert len(await log_of(flows)) == 4


async def test_a_held_step_is_busy_for_as_long_as_its_lease(flows: Flows):
    state = await launched(flows)
    await held(flows, state.steps[0])
    now = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    busy = await claimed(flows, now, "w2")
    assert isinstance(busy, StepBusy)
    assert 0 < busy.remaining_ms <= LEASE_MS


async def test_after_the_lease_the_next_worker_gets_the_next_epoch(flows: Flows):
    state = await launched(flows)
    dead = await held(flows, state.steps[0], lease_ms=1)
    await asyncio.sleep(0.02)
    now = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    successor = await held(flows, now, "w2")
    assert successor.epoch == 2
    with pytest.raises(FencedError):
        await flows.ledger.emit(dead, 1, LEASE_MS, StepWrite())
    with pytest.raises(FencedError):
        await flows.ledger.commit(dead, 2, {"output": "late"}, StepWrite())


async def test_a_worker_that_read_the_step_before_it_moved_on_is_fenced(flows: Flows):
    state = await launched(flows)
    await held(flows, state.steps[0])
    with pytest.raises(FencedError):
        await claimed(flows, state.steps[0], "w2")


async def test_a_heartbeat_renews_the_lease_and_writes_no_event(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0], lease_ms=1_000)
    before = (await flows.ledger.state(flows.tenant, "f1")).steps[0].lease_ms
    await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite())
    assert (await flows.ledger.state(flows.tenant, "f1")).steps[0].lease_ms > before
    assert len(await log_of(flows)) == 4


async def test_a_committed_step_is_never_claimed_again(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0], lease_ms=1)
    after = await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    await asyncio.sleep(0.02)
    with pytest.raises(FencedError):
        await claimed(flows, after.steps[0], "w2")
    with pytest.raises(FencedError):
        await flows.ledger.emit(claim, 2, LEASE_MS, StepWrite(events.custom("late", 1)))


async def test_a_result_of_a_worker_that_was_succeeded_is_refused(flows: Flows):
    state = await launched(flows)
    dead = await held(flows, state.steps[0], lease_ms=1)
    await asyncio.sleep(0.02)
    await held(flows, (await flows.ledger.state(flows.tenant, "f1")).steps[0], "w2")
    with pytest.raises(FencedError):
        await flows.ledger.commit(dead, 1, {"output": "late"}, StepWrite())
    assert (await flows.ledger.state(flows.tenant, "f1")).results == {}


async def test_a_message_that_a_lost_worker_left_open_is_ended_before_the_next_one_begins(
    flows: Flows,
):
    state = await launched(flows)
    dead = await held(flows, state.steps[0], lease_ms=1)
    said = [*events.text_start("m1"), *events.text_content("m1", "so f")]
    await flows.ledger.emit(dead, 1, 1, StepWrite(said, message="m1"))
    await asyncio.sleep(0.02)
    now = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    successor = await held(flows, now, "w2", lease_ms=1)
    kinds = [kind for _, kind in await log_of(flows)]
    assert kinds[-3:].count("TEXT_MESSAGE_END") == 1
    await flows.ledger.emit(successor, 1, 1, StepWrite(events.text_message("m2", "all")))
    await asyncio.sleep(0.02)
    now = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    await held(flows, now, "w3")
    kinds = [kind for _, kind in await log_of(flows)]
    assert kinds.count("TEXT_MESSAGE_START") == kinds.count("TEXT_MESSAGE_END") == 2
