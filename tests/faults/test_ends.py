"""Flows that are ended from outside: cancelled, out of time, or by a step that never works."""

import asyncio
import itertools
import os
from dataclasses import replace

import pytest

from core.crews.control import FlowControl
from core.flows import Status
from core.flows.values import INLINE
from tests import invariants, picks
from tests.fault_crews import CALLS_PER_STEP, STRATEGIES, a_crew, expected, in_a_row
from tests.fleet import KINDS, LEASE_SECONDS, Fleet, Place, fleet
from tests.tripwires import BOUNDARIES, MORE_BOUNDARIES, RELEASES

PASSED = BOUNDARIES + MORE_BOUNDARIES + RELEASES  # but for what happens elsewhere in a flow
MOMENTS = tuple(b for b in PASSED if b not in ("extended", "moved", "woken"))
ATTEMPTS, LIMIT_SECONDS = 3, 3


async def cancelled_at(place: Place, workers: Fleet, moment: str) -> int:
    """Have the worker stop at a boundary, cancel, let it go on; return what it asked after that."""
    await workers.until(lambda: workers.stopped)
    tenant = place.flows.tenant
    flow = await FlowControl(place.flows.ledger, place.wake_queue).cancel(tenant=tenant, flow="f1")
    assert flow.head.status is Status.CANCELLED
    calls = len(place.model.of("f1"))
    workers.go_on()
    await asyncio.sleep(LEASE_SECONDS)
    head = await place.flows.log.head(tenant, "f1")
    assert replace(head, version=flow.head.version) == flow.head  # late answers have versions
    assert workers.running, f"cancelling at {moment} ended the worker"
    return len(place.model.of("f1")) - calls


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_flow_cancelled_at_a_boundary_ends_there(moment: str, a_place):
    place = a_place("due-set")
    trip, puts_off = f"{moment}@two:1=STOP", moment in RELEASES
    async with fleet(place, trips=[trip], puts_off=puts_off) as workers:
        await place.launch(in_a_row())
        more = await cancelled_at(place, workers, moment)
    (told,) = await invariants.check(place, kills=0)
    # One that was reserved is paid for: by "settled" the next one may be.
    assert more <= (moment in ("reserved", "settled"))
    assert told.state.steps[2].state == "pending"
    assert told.events[-1]["code"] == "cancelled"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("moment", "strategy", "kind"), [*itertools.product(MOMENTS, STRATEGIES, KINDS)]
)
async def test_a_flow_of_any_kind_cancelled_at_any_boundary_ends_there(
    moment: str, strategy: str, kind: str, a_place, rng
):
    place = a_place(kind)
    number = rng.randint(1, 4)
    print("trip:", moment, number)
    trip, puts_off = f"{moment}:{number}=STOP", moment in RELEASES
    async with fleet(place, trips=[trip], puts_off=puts_off) as workers:
        await place.launch(a_crew(strategy))
        more = await cancelled_at(place, workers, moment)
    await invariants.check(place, kills=0)
    assert more <= 2  # steps side by side may each have one call reserved


async def test_a_flow_cancelled_during_a_call_makes_no_other(a_place):
    place = a_place("due-set")
    place.model.hold("two")
    async with fleet(place) as workers:
        await place.launch(in_a_row())
        await workers.until(place.model.held.is_set)
        await FlowControl(place.flows.ledger, place.wake_queue).cancel(
            tenant=place.flows.tenant, flow="f1"
        )
        place.model.released.set()
        await asyncio.sleep(LEASE_SECONDS)
        assert len(place.model.of("f1")) == CALLS_PER_STEP + 1
        await place.launch(in_a_row(), "f2")
        await workers.ended("f2")
    cancelled, after = await invariants.check(place, kills=0, flows=("f1", "f2"))
    assert cancelled.state.usage.lost_calls == 0  # its answer came, and costs what it cost
    invariants.succeeded(after, expected(in_a_row()))


async def driven_again(place: Place) -> str:
    """Drive f1 again, twice as an impatient person does; return the new flow's id."""
    control = FlowControl(place.flows.ledger, place.wake_queue)
    given = {"tenant": place.flows.tenant, "flow": "f1"}
    ids = [
        await control.redrive(INLINE, new_id=lambda: os.urandom(16).hex(), **given)
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    return ids[0]


async def finishes_when_driven_again(place: Place, kills: int) -> None:
    """Drive a failed flow again with workers that work: only what is missing is done."""
    crew, again = in_a_row(), await driven_again(place)
    before = len(place.model.asked)
    async with fleet(place) as workers:
        await workers.ended(again)
    _, told = await invariants.check(place, kills, ("f1", again))
    assert told.state.head.status is Status.SUCCEEDED
    assert told.state.output == expected(crew).output
    assert {call.step for call in place.model.asked[before:]} == {"two", "three"}
    assert len(told.asked) == 2 * CALLS_PER_STEP


async def failed_in_the_end(place: Place) -> str:
    """Check that a flow was given up after as many attempts as it may take; return why."""
    state = await place.flows.ledger.state(place.flows.tenant, "f1")
    assert state.head.status is Status.FAILED
    assert {step.id: step.epoch for step in state.steps} == {
        "one": 1, "two": ATTEMPTS + 1, "three": 0,
    }  # fmt: skip
    return state.error or ""


@pytest.mark.parametrize("kind", picks.first(1, *KINDS))
async def test_a_step_that_kills_every_worker_fails_its_flow_and_can_be_driven_again(
    kind: str, a_place
):
    place = a_place(kind)
    crew = in_a_row(max_attempts=ATTEMPTS)
    async with fleet(place, trips=itertools.repeat("called@two:1")) as workers:
        await place.launch(crew)
        await workers.ended()
        kills = workers.kills
    assert kills == ATTEMPTS
    assert f"step two was started {ATTEMPTS} times" in await failed_in_the_end(place)
    (told,) = await invariants.check(place, kills)
    assert told.events[-1]["code"] == "attempts"
    await finishes_when_driven_again(place, kills)


async def test_a_step_that_breaks_every_time_fails_its_flow_with_its_last_error(a_place):
    place = a_place("due-set")
    async with fleet(place, broken="two") as workers:
        await place.launch(in_a_row(max_attempts=ATTEMPTS))
        await workers.ended()
        assert not workers.kills
    error = await failed_in_the_end(place)
    assert f"started {ATTEMPTS} times" in error
    assert "the worker stopped with BrokenError" in error
    await finishes_when_driven_again(place, ATTEMPTS)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_flow_out_of_time_fails_also_when_nobody_was_there_to_see_it(killed: bool, a_place):
    place = a_place("due-set")
    place.model.hold("one")
    async with fleet(place) as workers:
        workers.tend()
        await place.launch(in_a_row(time_limit_seconds=LIMIT_SECONDS))
        await workers.until(place.model.held.is_set)
        if killed:
            workers.kill_all()
            await asyncio.sleep(LIMIT_SECONDS)
        await workers.ended(seconds=15)
        kills = workers.kills
    (told,) = await invariants.check(place, kills)
    assert (told.state.head.status, told.events[-1]["code"]) == (Status.FAILED, "time_limit")
    assert told.state.usage.lost_calls == 1
