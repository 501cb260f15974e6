"""Many flows at once, of all strategies, while workers are killed at random."""

import asyncio
import random

import pytest

from tests import invariants
from tests.fault_crews import STRATEGIES, a_crew, expected
from tests.fleet import Fleet, Place, fleet


async def killed_at_random(workers: Fleet, rng: random.Random, most: int) -> None:
    """Kill a worker now and then; the fleet replaces it."""
    for _ in range(most):
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        if workers.running:
            workers.kill(rng.choice(workers.running))


async def soak(place: Place, rng: random.Random, *, flows: int, kills: int) -> None:
    crews = {f"f{number}": a_crew(STRATEGIES[number % 3]) for number in range(flows)}
    place.model.seconds = 0.03
    async with fleet(place, size=3) as workers:
        for flow, crew in crews.items():
            await place.launch(crew, flow)
        killing = asyncio.create_task(killed_at_random(workers, rng, kills))
        await workers.ended(*crews, seconds=20 + flows * 3)
        killing.cancel()
        killed = workers.kills
    print("kills:", killed)
    assert killed
    for told in await invariants.check(place, killed, crews):
        invariants.succeeded(told, expected(crews[told.state.id]))


async def test_nine_flows_survive_six_killed_workers(a_place, rng: random.Random):
    await soak(a_place("due-set"), rng, flows=9, kills=6)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_two_hundred_flows_survive_random_kills(a_place, rng: random.Random):
    await soak(a_place("due-set"), rng, flows=200, kills=400)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqs", "qstash"])
async def test_fifty_flows_over_a_queue_survive_random_kills(kind, a_place, rng: random.Random):
    await soak(a_place(kind), rng, flows=50, kills=100)
