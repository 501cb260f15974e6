"""Whole flows under a budget that they cannot all be paid from, while workers die and the store is rough.

The model counts what it is asked, and that is what a provider charges: whoever dies, and whether or not
anybody hears the answer.
"""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from core.adapters.upstash.http import HttpRedis
from core.costs.budget import Budget, BudgetState, Scope
from core.costs.windows import Window
from core.crews.wakeups import wake_workers
from core.flows import Status
from tests import invariants
from tests.fault_crews import expected, in_a_row
from tests.fleet import Fleet, Place, fleet
from tests.light_runner import BOUND, PRICE

FLOWS = [f"f{number}" for number in range(6)]
LIMIT = 30_000  # nano-dollars: less than the flows' 36 calls cost, and less than three cost at most
CONDITIONS = [
    pytest.param({}, id="as it should be"),
    pytest.param({"lag_ms": 100}, id="reads lag"),
    pytest.param({"refuse": "busy", "share": 0.2}, id="a share is refused"),
]


def a_budget(limit: int) -> Budget:
    return Budget("all", Scope.TENANT, Window.DAY, limit)


async def spent(place: Place) -> BudgetState:
    (state,) = (await place.flows.budgets.all(place.flows.tenant)).states
    return state


async def come_to_rest(place: Place, workers: Fleet) -> list[Status]:
    """Wait until each flow has ended or waits for money; return how each stands."""
    statuses = list[Status]()

    async def rests() -> bool:
        states = [await place.flows.ledger.state(place.flows.tenant, flow) for flow in FLOWS]
        statuses[:] = [state.head.status for state in states]
        return all(s.head.status.terminal or s.waits_for_money for s in states)

    await workers.until(rests)
    return statuses


async def killed(place: Place, workers: Fleet, rng: random.Random, times: int) -> None:
    """Kill two of three workers while a call is under way, so often as there are calls; they are replaced."""
    for _ in range(times):
        seen = len(place.model.asked)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):  # or nothing is asked: there is no money
                while len(place.model.asked) == seen:  # noqa: ASYNC110 -- other processes ask
                    await asyncio.sleep(0.01)
        for worker in rng.sample(workers.running, min(2, len(workers.running))):
            workers.kill(worker)
        await asyncio.sleep(0.3)


async def under_a_budget(
    place: Place, rng: random.Random, rough: Any, conditions: dict[str, Any], kills: int, limit: int
) -> None:
    crew, tenant = in_a_row(), place.flows.tenant
    place.model.seconds = 0.15
    await place.flows.budgets.save(tenant, a_budget(limit))
    async with fleet(place, size=3) as workers:
        for flow in FLOWS:
            await place.launch(crew, flow)
        rough.adjust(**conditions)
        killing = asyncio.create_task(killed(place, workers, rng, kills))
        await workers.until(killing.done)
        await killing
        rough.adjust(lag_ms=0, refuse=None)
        statuses = await come_to_rest(place, workers)
        assert workers.kills
        state, charged = await spent(place), len(place.model.asked) * PRICE.cost_nanodollars
        print("kills:", workers.kills, "spent:", state.spent_nanodollars, "charged:", charged)
        assert state.held_nanodollars == 0
        assert charged <= state.spent_nanodollars <= limit
        if Status.WAITING in statuses:
            assert limit - state.spent_nanodollars < BOUND.cost_nanodollars
        waiting = await place.flows.budgets.save(tenant, a_budget(1000 * limit))
        await wake_workers(place.wake_queue, tenant, waiting)
        await workers.ended(*FLOWS)
    assert (await spent(place)).spent_nanodollars >= len(place.model.asked) * PRICE.cost_nanodollars
    for flow in FLOWS:
        invariants.succeeded(await invariants.story(place, flow), expected(crew))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("conditions", CONDITIONS)
async def test_flows_overspend_no_budget_and_go_on_when_it_is_raised(
    a_place, rough_gateway, rng: random.Random, conditions: dict[str, Any]
):
    await HttpRedis(rough_gateway.url, rough_gateway.token).execute(["FLUSHALL"])
    place: Place = a_place("due-set", rest=rough_gateway)
    await under_a_budget(place, rng, rough_gateway, conditions, kills=2, limit=LIMIT)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("calls", [1, 2.5, 10])
async def test_flows_overspend_no_budget_however_many_workers_die(
    a_place, rough_gateway, rng: random.Random, conditions: dict[str, Any], calls: float
):
    await HttpRedis(rough_gateway.url, rough_gateway.token).execute(["FLUSHALL"])
    place: Place = a_place("due-set", rest=rough_gateway)
    limit = round(calls * BOUND.cost_nanodollars)
    await under_a_budget(place, rng, rough_gateway, conditions, kills=10, limit=limit)
