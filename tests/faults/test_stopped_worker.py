"""A worker that stands still for longer than its lease and then goes on: it must not be believed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.flows import Flow
from tests import invariants, picks
from tests.fault_crews import a_crew, expected, in_a_row
from tests.fleet import KINDS, LEASE_SECONDS, Place, fleet

MOMENTS = ("called", "committing", "claimed", "reserved", "settled", "committed")


async def state_of(place: Place) -> Flow:
    return await place.flows.ledger.state(place.flows.tenant, "f1", fresh=True)


def assert_only_answers(before: Flow, after: Flow) -> None:
    """Check that nothing changed but the usage, by the answers of calls that were lost before."""
    late = before.usage.lost_calls - after.usage.lost_calls
    assert after.head.version == before.head.version + late
    if before.head.status.terminal:
        assert after.head.last_event == before.head.last_event
    corrected: dict[str, Any] = {"usage": after.usage, "updated_ms": after.updated_ms}
    assert replace(before, head=after.head, **corrected) == after


@pytest.mark.parametrize("moment", picks.first(2, *MOMENTS))
async def test_a_worker_that_wakes_when_all_is_over_changes_nothing(moment: str, a_place):
    place, crew = a_place("due-set"), in_a_row()
    async with fleet(place, trips=[f"{moment}@two:1=STOP"]) as workers:
        await place.launch(crew)
        await workers.until(lambda: workers.stopped)
        workers.size = 2
        await workers.ended()
        before = await state_of(place)
        workers.go_on()
        await asyncio.sleep(3 * LEASE_SECONDS / 2)
        assert len(workers.running) == 2  # it found that out and is a worker like any other
        assert_only_answers(before, await state_of(place))
        workers.size = 1
        workers.kill(workers.running[1])
        await place.launch(crew, "f2")
        await workers.until(lambda: place.model.of("f2"))
        await workers.ended("f2")
        kills = workers.kills
    first, second = await invariants.check(place, kills=1 + kills, flows=("f1", "f2"))
    invariants.succeeded(first, expected(crew))
    invariants.succeeded(second, expected(crew))


@pytest.mark.parametrize(
    ("moment", "kind"), [(moment, KINDS[at % 3]) for at, moment in enumerate(MOMENTS[:5])]
)
async def test_a_worker_that_wakes_while_another_has_its_step_writes_nothing(
    moment: str, kind: str, a_place
):
    place, crew = a_place(kind), in_a_row()
    place.model.hold("two", attempt=2)
    async with fleet(place, trips=[f"{moment}@two:1=STOP"]) as workers:
        await place.launch(crew)
        await workers.until(lambda: workers.stopped)
        workers.size = 2
        await workers.until(place.model.held.is_set)
        before = await state_of(place)
        calls = len(place.model.of("f1"))
        workers.go_on()
        await asyncio.sleep(LEASE_SECONDS)
        assert_only_answers(before, await state_of(place))
        # What was reserved before it stopped may be called: nobody could tell it in time.
        assert len(place.model.of("f1")) <= calls + (moment in ("reserved", "settled"))
        place.model.released.set()
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))
    assert {step.id: step.epoch for step in told.state.steps} == {"one": 1, "two": 2, "three": 1}


async def test_a_worker_that_stands_still_with_steps_side_by_side_loses_them_all(a_place):
    place, crew = a_place("due-set"), a_crew("hierarchical")
    async with fleet(place, trips=["called@weigh.work.1.2:1=STOP"]) as workers:
        await place.launch(crew)
        await workers.until(lambda: workers.stopped)
        workers.size = 2
        await workers.ended()
        before = await state_of(place)
        workers.go_on()
        await asyncio.sleep(LEASE_SECONDS)
        assert_only_answers(before, await state_of(place))
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))


async def test_a_worker_that_wakes_while_another_has_its_step_gives_nothing_back(a_place):
    place, crew = a_place("due-set"), in_a_row()
    place.model.hold("two", attempt=2)
    async with fleet(place, trips=["releasing@two:1=STOP"], puts_off=True) as workers:
        await place.launch(crew)
        await workers.until(lambda: workers.stopped)
        workers.size = 2
        await workers.until(place.model.held.is_set)
        before = await state_of(place)
        workers.go_on()
        await asyncio.sleep(LEASE_SECONDS)
        assert_only_answers(before, await state_of(place))
        place.model.released.set()
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))
    assert {step.id: step.epoch for step in told.state.steps} == {"one": 2, "two": 3, "three": 2}
    assert {step.deferrals for step in told.state.steps} == {1}
