"""A worker that is asked to stop, as every deploy does: what it can finish is not paid again."""

import asyncio
import os
import signal
import time

import pytest

from core.flows import Status
from tests import invariants
from tests.counting_model import Asked
from tests.fault_crews import expected, in_a_row
from tests.fleet import LEASE_SECONDS, Fleet, Place, fleet

LONG_LEASE = {"CREWLINE_LEASE_SECONDS": "30", "CREWLINE_BEAT_SECONDS": "5"}


async def asked_to_stop(place: Place, workers: Fleet) -> float:
    """Ask the worker that is in the middle of step two; return when."""
    await workers.until(place.model.held.is_set)
    (worker,) = workers.running
    workers.leaves(worker)
    os.kill(worker.pid or 0, signal.SIGTERM)
    return time.monotonic()


async def test_a_step_that_can_finish_is_finished_and_its_calls_are_not_made_again(a_place):
    place, crew = a_place("due-set", CREWLINE_STOP_SECONDS="10", **LONG_LEASE), in_a_row()
    place.model.hold("two")
    async with fleet(place) as workers:
        await place.launch(crew)
        await asked_to_stop(place, workers)
        await asyncio.sleep(LEASE_SECONDS)
        place.model.released.set()
        async with asyncio.timeout(10):
            await workers.left()
        await workers.ended()
    (told,) = await invariants.check(place, kills=0)
    invariants.succeeded(told, expected(crew))
    assert told.restarts == 0
    assert len(told.asked) == 2 * len(expected(crew).steps)


async def test_a_step_that_cannot_is_given_back_and_goes_on_elsewhere_within_a_second(a_place):
    place = a_place("due-set", CREWLINE_STOP_SECONDS="0.5", **LONG_LEASE)
    crew = in_a_row()
    held: list[Asked] = []

    def holds_the_first(call: Asked) -> bool:
        held.extend([call] if call.step == "two" and not held else [])
        return held == [call]

    place.model.holds = holds_the_first
    async with fleet(place) as workers:
        await place.launch(crew)
        stopped = await asked_to_stop(place, workers)
        async with asyncio.timeout(10):
            await workers.left()
        left = time.monotonic()
        assert left - stopped < 3
        await workers.until(lambda: len([c for c in place.model.asked if c.step == "two"]) > 1)
        again = next(c.at for c in place.model.asked if c.step == "two" and c is not held[0])
        print(f"gone {left - stopped:.2f} s after it was asked, taken over {again - left:.2f} s on")
        assert again - left < 1.0
        await workers.ended()
    told = await invariants.story(place, "f1")  # its calls were made twice in one attempt
    invariants.numbers_and_versions(told)
    invariants.one_end(told)
    assert (told.state.head.status, told.state.output) == (Status.SUCCEEDED, expected(crew).output)
    assert {step.attempts for step in told.state.steps} == {1}
    assert told.state.usage.lost_calls == 1


@pytest.mark.parametrize(("trip", "attempts"), [("releasing", 2), ("released", 1)])
async def test_one_killed_at_the_release_costs_the_lease_or_nothing(
    trip: str, attempts: int, a_place
):
    """Right before, the lease has to run out. Right after, the step is there for whoever looks."""
    lease = LONG_LEASE if trip == "released" else {}
    place, crew = a_place("due-set", CREWLINE_STOP_SECONDS="0.2", **lease), in_a_row()
    place.model.hold("two")
    async with fleet(place, trips=[f"{trip}@two:1"]) as workers:
        await place.launch(crew)
        await workers.until(place.model.held.is_set)
        os.kill(workers.running[0].pid or 0, signal.SIGTERM)
        await workers.killed()
        place.model.holds = lambda _: False
        await workers.ended(seconds=10)
        assert workers.kills == 1
    told = await invariants.story(place)
    invariants.numbers_and_versions(told)
    invariants.one_end(told)
    assert (told.state.head.status, told.output) == (Status.SUCCEEDED, expected(crew).output)
    counted = {step.id: (step.epoch, step.attempts) for step in told.state.steps}
    assert counted == {"one": (1, 1), "two": (2, attempts), "three": (1, 1)}
    assert sum(step.deferrals for step in told.state.steps) == 0
    assert told.state.usage.lost_calls == 1
