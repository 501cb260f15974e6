"""Flows of CrewAI itself under a budget, while half of their worker processes are killed, again and again.

The provider counts what it is asked, and that is what it charges: whoever dies, and whether or not anybody
hears the answer.
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
from core.flows import Flow, Status
from tests.crewai_worker import CrewAIWorkers, crewai_workers
from tests.fault_crews import in_a_row
from tests.faults.test_budget_flows import CONDITIONS
from tests.faults.test_crewai_race import CHARGE, MODEL, least_bound
from tests.fleet import Place
from tests.scripted_provider import ScriptedProvider, Turn, playing

FLOWS = [f"f{number}" for number in range(6)]
WORKERS = 4
LIMIT = 25_000_000  # nano-dollars: two calls of unknown length, and a shorter one
ENOUGH = 1_000 * LIMIT
ROUGH = {"lag_ms": 100, "refuse": "busy", "share": 0.1}
PATIENCE_SECONDS, ASKED_SECONDS = 60, 6


def a_budget(limit: int) -> Budget:
    return Budget("all", Scope.TENANT, Window.DAY, limit)


async def spent(place: Place) -> BudgetState:
    (state,) = (await place.flows.budgets.all(place.flows.tenant)).states
    return state


async def states(place: Place) -> list[Flow]:
    return [await place.flows.ledger.state(place.flows.tenant, flow) for flow in FLOWS]


async def come_to_rest(place: Place, *, waiting_is_rest: bool) -> list[Flow]:
    """Wait until each flow has ended, or waits for money; return them."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await states(place)
            if all(
                flow.head.status.terminal or (waiting_is_rest and flow.waits_for_money)
                for flow in found
            ):
                return found
            await asyncio.sleep(0.2)


async def half_are_killed(
    workers: CrewAIWorkers, provider: ScriptedProvider, rng: random.Random
) -> None:
    """Kill half of the workers while calls are under way, if there is money for any; start as many."""
    seen = len(provider.requests)
    with contextlib.suppress(TimeoutError):  # there is no money, and nobody asks
        async with asyncio.timeout(ASKED_SECONDS):
            while len(provider.requests) <= seen + 1:  # noqa: ASYNC110 -- other processes ask
                await asyncio.sleep(0.01)
    workers.kill(*rng.sample(workers.pids, len(workers.pids) // 2))
    workers.start(WORKERS - len(workers.pids))


async def under_a_budget(
    place: Place, provider: ScriptedProvider, rng: random.Random, rough: Any, kills: int
) -> None:
    tenant = place.flows.tenant
    await place.flows.budgets.save(tenant, a_budget(LIMIT))
    for flow in FLOWS:
        await place.launch(in_a_row(), flow)
    with crewai_workers(place, WORKERS) as workers:
        for _ in range(kills):
            await half_are_killed(workers, provider, rng)
        rough.adjust(lag_ms=0, refuse=None)
        rested = await come_to_rest(place, waiting_is_rest=True)
        state, charged = await spent(place), len(provider.requests) * CHARGE
        print("kills:", workers.kills, "spent:", state.spent_nanodollars, "charged:", charged)
        assert sum(flow.usage.lost_calls for flow in rested)
        assert state.held_nanodollars == 0
        assert charged <= state.spent_nanodollars <= LIMIT
        if any(flow.waits_for_money for flow in rested):
            assert LIMIT - state.spent_nanodollars < least_bound(provider.requests[-1]) * 1.1
        waiting = await place.flows.budgets.save(tenant, a_budget(ENOUGH))
        await wake_workers(place.wake_queue, tenant, waiting)
        ended = await come_to_rest(place, waiting_is_rest=False)
    assert {flow.head.status for flow in ended} == {Status.SUCCEEDED}
    assert (await spent(place)).spent_nanodollars >= len(provider.requests) * CHARGE


async def whole_flows(
    a_place: Any, rough: Any, rng: random.Random, conditions: dict[str, Any], kills: int
) -> None:
    await HttpRedis(rough.url, rough.token).execute(["FLUSHALL"])
    with playing(Turn("hello", silent_seconds=0.3)) as provider:
        place: Place = a_place(
            "due-set", rest=rough, CREWLINE_MODEL=MODEL, CREWLINE_MODEL_BASE_URL=provider.url,
            CREWLINE_MODEL_API_KEY="sk-1", CREWLINE_LEASE_SECONDS="1.5", CREWLINE_BEAT_SECONDS="0.3",
        )  # fmt: skip
        rough.adjust(**conditions)
        await under_a_budget(place, provider, rng, rough, kills)


@pytest.mark.timeout(150)
async def test_flows_of_crewai_overspend_no_budget_when_half_of_the_processes_are_killed(
    a_place, rough_gateway, rng: random.Random
):
    await whole_flows(a_place, rough_gateway, rng, ROUGH, kills=2)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("conditions", CONDITIONS)
async def test_flows_of_crewai_overspend_no_budget_however_often_half_are_killed(
    a_place, rough_gateway, rng: random.Random, conditions: dict[str, Any]
):
    await whole_flows(a_place, rough_gateway, rng, conditions, kills=12)
