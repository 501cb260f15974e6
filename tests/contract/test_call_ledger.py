"""What every CallLedger does: a reserved call is counted once. Over memory and over Redis."""

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from core.costs.cells import Cell
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, ExpiredError, FencedError, StepWrite
from core.errors import NotFoundError
from core.flows import Flow, Status, events
from tests.cells import cells_of
from tests.fixtures_ports import Flows, a_launch, viewed

LEASE_MS = 30_000
BOUND = Usage(1, 1000, 500, 900_000)
USED = Usage(1, 900, 20, 150_000)
LOST = BOUND.lost()


async def held(flows: Flows, number: int = 0, lease_ms: int = LEASE_MS) -> Claim:
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[number]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner=f"{step.id}{step.epoch}", lease_ms=lease_ms, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


async def begun(
    flows: Flows, lease_ms: int = LEASE_MS, limit_ms: int | None = None, **launch: Any
) -> Claim:
    await flows.ledger.create(flows.tenant, a_launch(time_limit_ms=limit_ms, **launch))
    return await held(flows, lease_ms=lease_ms)


async def begun_again(flows: Flows) -> Claim:
    await asyncio.sleep(0.02)
    return await held(flows)


def call(claim: Claim, number: int = 1, model: str = "a/b|c", bound: Usage = BOUND) -> Call:
    return Call(
        claim.tenant, claim.flow, claim.step, claim.epoch, number,
        model, "example", claim.step, bound, agent="writer", subject="ann",
    )  # fmt: skip


async def state_of(flows: Flows) -> Flow:
    return await flows.ledger.state(flows.tenant, "f1")


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def cell(model: str, task: str, usage: Usage) -> Cell:
    """What one model consumed in one task today."""
    return Cell.of(today(), None, ("example", task, "writer", "ann", model), usage)


async def spent(flows: Flows) -> list[Cell]:
    """What was counted today; midnight counts as today, too."""
    return await cells_of(flows.spending, flows.tenant, [today()])


async def end(flows: Flows) -> None:
    await flows.ledger.transition(flows.tenant, "f1", Status.CANCELLED, status_epoch=0, events=[])


async def test_a_reserved_call_is_seen_by_nobody_until_it_is_settled(flows: Flows):
    claim = await begun(flows)
    before = await state_of(flows)
    await flows.calls.reserve(call(claim))
    assert await state_of(flows) == before
    assert await spent(flows) == []


async def test_a_settled_call_counts_what_it_consumed(flows: Flows):
    claim = await begun(flows)
    before = await state_of(flows)
    await flows.calls.reserve(call(claim))
    told = events.model_call("one", "a/b|c", USED)
    await flows.calls.settle(call(claim), USED, told)
    state = await state_of(flows)
    assert state.usage == USED
    assert state.head.version == before.head.version + 1
    assert await spent(flows) == [cell("a/b|c", "one", USED)]
    assert await viewed(flows) == state.public()
    log = await flows.log.entries(flows.tenant, "f1", before.head.last_event, 10)
    assert json.loads(log[-1].json) == told[0]
    assert [entry.number - before.head.last_event for entry in log] == [1, 2]


async def test_sent_again_both_writes_change_nothing(flows: Flows):
    claim = await begun(flows)
    for _ in range(3):
        await flows.calls.reserve(call(claim))
    for _ in range(3):
        await flows.calls.settle(call(claim), USED, events.custom("x", 1))
    await flows.calls.reserve(call(claim))  # late: it opens nothing
    state = await state_of(flows)
    await end(flows)
    after = await state_of(flows)
    assert state.usage == after.usage == USED
    assert state.head.last_event == 4 + 1


async def test_calls_of_one_attempt_may_come_in_any_order(flows: Flows):
    claim = await begun(flows)
    numbers = [5, 1, 3, 3, 2, 5, 4, 1]
    for number in numbers:
        await flows.calls.reserve(call(claim, number))
    for number in numbers:
        await flows.calls.settle(call(claim, number), USED, [])
    for number in numbers:
        await flows.calls.reserve(call(claim, number))
    await end(flows)
    assert (await state_of(flows)).usage == Usage(5, 4500, 100, 750_000)


async def test_calls_of_a_step_that_is_begun_again_are_lost(flows: Flows):
    claim = await begun(flows, lease_ms=1)
    for number in (1, 2, 3):
        await flows.calls.reserve(call(claim, number))
    await flows.calls.settle(call(claim, 2), USED, [])
    await begun_again(flows)
    state = await state_of(flows)
    assert state.usage == LOST + USED + LOST
    assert await spent(flows) == [cell("a/b|c", "one", state.usage)]
    assert await viewed(flows) == state.public()


async def test_calls_of_a_step_that_is_given_back_are_lost(flows: Flows):
    claim = await begun(flows)
    for number in (1, 2):
        await flows.calls.reserve(call(claim, number))
    await flows.calls.settle(call(claim, 2), USED, [])
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    state = await state_of(flows)
    assert state.usage == LOST + USED
    assert await viewed(flows) == state.public()
    await end(flows)
    assert (await state_of(flows)).usage == LOST + USED


async def test_a_worker_that_lost_its_step_reserves_nothing(flows: Flows):
    claim = await begun(flows, lease_ms=1)
    await flows.calls.reserve(call(claim))
    await begun_again(flows)
    for number in (1, 2):
        with pytest.raises(FencedError):
            await flows.calls.reserve(call(claim, number))
    with pytest.raises(FencedError):
        await flows.calls.settle(call(claim, 2), USED, [])
    assert (await state_of(flows)).usage == LOST


async def test_a_new_attempt_counts_its_calls_from_one(flows: Flows):
    claim = await begun(flows, lease_ms=1)
    await flows.calls.reserve(call(claim))
    await flows.calls.settle(call(claim), USED, [])
    again = await begun_again(flows)
    await flows.calls.reserve(call(again))
    await flows.calls.settle(call(again), USED, [])
    assert (await state_of(flows)).usage == USED + USED


async def test_a_new_attempt_loses_no_call_of_another_step(flows: Flows):
    claim, other = await begun(flows, lease_ms=1), await held(flows, 1)
    await flows.calls.reserve(call(claim))
    await flows.calls.reserve(call(other))
    await begun_again(flows)
    assert (await state_of(flows)).usage == LOST
    await flows.calls.settle(call(other), USED, [])
    assert (await state_of(flows)).usage == LOST + USED


async def test_at_the_end_all_calls_under_way_are_lost(flows: Flows):
    claim, other = await begun(flows), await held(flows, 1)
    await flows.calls.reserve(call(claim))
    await flows.calls.reserve(call(other, model="d"))
    await end(flows)
    await end(flows)  # the reply was lost
    state = await state_of(flows)
    assert state.usage == LOST + LOST
    assert await viewed(flows) == state.public()
    assert await spent(flows) == [
        cell("a/b|c", "one", LOST),
        cell("d", "two", LOST),
    ]
    with pytest.raises(FencedError):
        await flows.calls.settle(call(claim, 2), USED, events.custom("x", 1))
    for late in (call(claim), call(claim, 2)):
        with pytest.raises(FencedError):
            await flows.calls.reserve(late)
    assert await state_of(flows) == state


async def test_a_flow_that_waits_loses_no_call(flows: Flows):
    claim = await begun(flows)
    await flows.calls.reserve(call(claim))
    await flows.ledger.transition(flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[])
    assert (await state_of(flows)).usage == Usage()
    await flows.calls.settle(call(claim), USED, [])
    assert (await state_of(flows)).usage == USED


async def test_a_reservation_that_arrives_after_its_call_was_given_up_holds_nothing(flows: Flows):
    claim = await begun(flows)
    await flows.calls.settle(call(claim, 2), Usage(), [])  # no answer came, so nobody makes it
    await flows.calls.reserve(call(claim, 2))  # from a connection that stood still
    await flows.calls.reserve(call(claim, 1))  # of another thread
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    assert (await state_of(flows)).usage == LOST  # of the first alone


async def test_a_committed_step_reserves_nothing_but_may_settle(flows: Flows):
    claim = await begun(flows)
    await flows.calls.reserve(call(claim))
    await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    with pytest.raises(FencedError):
        await flows.calls.reserve(call(claim, 2))
    await flows.calls.settle(call(claim), USED, [])
    state = await state_of(flows)
    assert (state.usage, state.steps[0].state) == (USED, "done")


async def test_a_settled_call_renews_no_lease(flows: Flows):
    claim = await begun(flows)
    before = (await state_of(flows)).steps[0].lease_ms
    await flows.calls.reserve(call(claim))
    await flows.calls.settle(call(claim), USED, [])
    assert (await state_of(flows)).steps[0].lease_ms == before


async def test_nothing_is_reserved_when_the_time_is_over_but_it_is_settled(flows: Flows):
    claim = await begun(flows, limit_ms=1000)
    await flows.calls.reserve(call(claim))
    await asyncio.sleep(1.01)
    with pytest.raises(ExpiredError):
        await flows.calls.reserve(call(claim, 2))
    await flows.calls.reserve(call(claim))  # the reply was lost
    await flows.calls.settle(call(claim), USED, [])
    await end(flows)
    assert (await state_of(flows)).usage == USED


async def test_a_call_of_nowhere_is_refused(flows: Flows):
    nowhere = call(Claim(flows.tenant, "nowhere", "one", 1))
    with pytest.raises(NotFoundError):
        await flows.calls.reserve(nowhere)
    with pytest.raises(NotFoundError):
        await flows.calls.settle(nowhere, USED, [])
    claim = await begun(flows)
    for stray in (Claim(flows.tenant, "f1", "four", 1), Claim(flows.tenant, "f1", "one", 2)):
        with pytest.raises(FencedError):
            await flows.calls.reserve(call(stray))
        with pytest.raises(FencedError):
            await flows.calls.settle(call(stray), USED, [])
    assert (await state_of(flows)).usage == Usage()
    await flows.calls.reserve(call(claim))


async def test_sums_stay_exact_in_all_their_digits(flows: Flows):
    claim = await begun(flows)
    large = Usage(1, cost_nanodollars=2**52 + 1)
    await flows.calls.reserve(call(claim))
    await flows.calls.settle(call(claim), large, [])
    await flows.calls.reserve(call(claim, 2))
    await flows.calls.settle(call(claim, 2), Usage(1, cost_nanodollars=2), [])
    total = Usage(2, cost_nanodollars=2**52 + 3)
    assert (await state_of(flows)).usage == total
    assert await spent(flows) == [cell("a/b|c", "one", total)]


async def test_many_calls_at_once_are_counted_each_once(flows: Flows):
    claim = await begun(flows)
    calls = [call(claim, number, model=f"m{number % 3}") for number in range(1, 25)] * 2
    random.Random(1).shuffle(calls)
    await asyncio.gather(*(flows.calls.reserve(each) for each in calls))
    await asyncio.gather(*(flows.calls.settle(each, USED, []) for each in calls))
    state = await state_of(flows)
    assert (state.usage.calls, state.usage.cost_nanodollars) == (24, 24 * 150_000)
    assert [of.usage.calls for of in await spent(flows)] == [8, 8, 8]
    assert await viewed(flows) == state.public()


async def test_another_day_and_another_tenant_have_spent_nothing(flows: Flows):
    claim = await begun(flows)
    await flows.calls.reserve(call(claim))
    await flows.calls.settle(call(claim), USED, [])
    assert await cells_of(flows.spending, flows.tenant, ["2020-02-29"]) == []
    assert await cells_of(flows.spending, "somebody-else", [today()]) == []
    assert await cells_of(flows.spending, flows.tenant, []) == []
