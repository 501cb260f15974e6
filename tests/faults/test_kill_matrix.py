"""SIGKILL right after every boundary, in every strategy, over every way of waking workers."""

import itertools
import random
from collections.abc import Callable

import pytest

from tests import invariants
from tests.fault_crews import CALLS_PER_STEP, STRATEGIES, a_crew, expected
from tests.fleet import KINDS, Place, fleet
from tests.tripwires import BOUNDARIES, MORE_BOUNDARIES, RELEASES, VALUES

PADDING = 40_000  # with it every result is large
# Each boundary meets each strategy once, and both meet each way of waking.
PICK = [
    (boundary, strategy, KINDS[(row + column) % len(KINDS)])
    for row, boundary in enumerate(BOUNDARIES + RELEASES + VALUES)
    for column, strategy in enumerate(STRATEGIES)
]


def passes(boundary: str, strategy: str) -> int:
    """Return how often a flow of this strategy passes a boundary when nobody is killed."""
    steps = len(expected(a_crew(strategy)).steps)
    match boundary:
        case "reserved" | "called" | "settled":
            return CALLS_PER_STEP * steps
        case "woken":  # once for each pair of steps that may run side by side
            return {"sequential": 1, "hierarchical": 1, "consensus": 3}[strategy]
        case "extended":
            return {"sequential": 0, "hierarchical": 3, "consensus": 2}[strategy]
        case "moved":
            return 1
        case "storing" | "stored":  # the output of a sequential crew's last step is one more
            return steps + (strategy == "sequential")
        case _:
            return steps


WHOLE = [
    (boundary, strategy, kind, number)
    for boundary, strategy, kind in itertools.product(
        BOUNDARIES + MORE_BOUNDARIES + RELEASES + VALUES, STRATEGIES, KINDS
    )
    for number in range(1, passes(boundary, strategy) + 1)
]


async def killed_once(a_place: Callable[..., Place], kind: str, strategy: str, trip: str) -> None:
    """Kill a worker in a flow in which each step is put off, or large, if the trip is about that."""
    crew, boundary = a_crew(strategy), trip.partition(":")[0]
    padding = PADDING if boundary in VALUES else 0
    place = a_place(kind, bucket=boundary in VALUES)
    given = {"puts_off": boundary in RELEASES, "padding": padding}
    async with fleet(place, trips=[trip], **given) as workers:
        await place.launch(crew)
        workers.tend()
        await workers.until(lambda: workers.kills)
        workers.size = 2
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew, padding=padding))


@pytest.mark.parametrize(("boundary", "strategy", "kind"), PICK)
async def test_a_worker_killed_at_a_boundary_costs_the_steps_it_was_in(
    boundary: str, strategy: str, kind: str, a_place, rng: random.Random
):
    number = rng.randint(1, passes(boundary, strategy))
    print("trip:", boundary, number)
    await killed_once(a_place, kind, strategy, f"{boundary}:{number}")


@pytest.mark.soak
@pytest.mark.parametrize(("boundary", "strategy", "kind", "number"), WHOLE)
async def test_a_worker_killed_at_any_boundary_costs_the_steps_it_was_in(
    boundary: str, strategy: str, kind: str, number: int, a_place
):
    await killed_once(a_place, kind, strategy, f"{boundary}:{number}")


@pytest.mark.soak
@pytest.mark.parametrize(("strategy", "kind"), [*itertools.product(STRATEGIES, KINDS)])
async def test_worker_after_worker_may_be_killed_at_one_boundary_after_another(
    strategy: str, kind: str, a_place, rng: random.Random
):
    trips = [f"{rng.choice(BOUNDARIES)}:1" for _ in range(8)]
    print("trips:", trips)
    place, crew = a_place(kind), a_crew(strategy)
    async with fleet(place, trips=trips, size=2) as workers:
        await place.launch(crew)
        await workers.ended()
        kills = workers.kills
    (told,) = await invariants.check(place, kills=kills)
    invariants.succeeded(told, expected(crew))
