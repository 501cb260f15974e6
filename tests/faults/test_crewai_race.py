"""Flows of CrewAI itself race for a budget over Redis; the provider counts what it is asked.

Half of the workers are stopped in the midst of it. What a thread of theirs asked the model for is
charged all the same.
"""

import asyncio
import json
import random
from typing import Any

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.crewai.output_bound import LEAST_OUTPUT_TOKENS
from core.adapters.upstash.http import HttpRedis
from core.costs.budget import Budget, Scope
from core.costs.prices import bound, rates_of
from core.costs.windows import Window
from core.crews.clock import NoLimit
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows import Flow
from core.time_of_day import now_ms
from tests.crewai_parts import CataloguePriceBook, a_harness
from tests.faults.test_budget_flows import CONDITIONS
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.scripted_provider import Turn, playing
from tests.worker_parts import a_crew, launched
from tests.workers import worker_over

FLOWS = [f"f{number}" for number in range(8)]
MODEL = "openai/gpt-4o-mini"
CHARGE = 100 * 150 + 20 * 600  # what the provider charges for a call, in nano-dollars
LIMIT = 700_000
TIMING = Timing(lease_seconds=0.5, beat_seconds=0.1, step_seconds=1)


async def at_rest(flows: Flows, worker: Worker) -> list[Flow]:
    """Run each flow until it has ended or waits for money."""
    while True:
        states = [await flows.ledger.state(flows.tenant, flow) for flow in FLOWS]
        left = [s.id for s in states if not (s.head.status.terminal or s.waits_for_money)]
        if not left:
            return states
        await asyncio.gather(*(worker.run_flow(flows.tenant, flow, NoLimit()) for flow in left))
        await asyncio.sleep(0.1)  # a step of a worker that was stopped has its lease yet


def least_bound(request: dict[str, object]) -> int:
    """What a call must have room for at least, by what was asked."""
    size = len(json.dumps(request["messages"], ensure_ascii=False).encode())
    rates = rates_of(CataloguePriceBook(), MODEL, now_ms())
    return bound(rates, size, LEAST_OUTPUT_TOKENS, has_tools=False).cost_nanodollars


@pytest.mark.timeout(120)
@pytest.mark.parametrize("conditions", CONDITIONS)
async def test_flows_of_crewai_overspend_no_budget(
    rough_gateway, rng: random.Random, conditions: dict[str, Any]
):
    url, token = rough_gateway.url, rough_gateway.token
    flows = over_redis(HttpRedis(url, token), url, token, keys=own_keys())
    await flows.budgets.save(flows.tenant, Budget("all", Scope.TENANT, Window.DAY, LIMIT))
    with playing(Turn("hello", silent_seconds=0.05)) as provider:
        llm = model_from(MODEL, provider.url, "sk-1")
        workers = [
            worker_over(
                flows.ledger, flows.calls, flows.wake_queue, a_harness(llm=llm).runner, TIMING
            )
            for _ in range(4)
        ]
        for flow in FLOWS:
            await launched(flows.ledger, a_crew(), flow=flow, tenant=flows.tenant)
        running = [
            asyncio.create_task(workers[at % 4].run_flow(flows.tenant, flow, NoLimit()))
            for at, flow in enumerate(FLOWS)
        ]
        rough_gateway.adjust(**conditions)
        while len(provider.requests) < 6:  # noqa: ASYNC110 -- threads ask
            await asyncio.sleep(0.01)
        for task in rng.sample(running, len(running) // 2):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        rough_gateway.adjust(refuse=None)
        states = await at_rest(flows, workers[0])
        (state,) = (await flows.budgets.all(flows.tenant)).states
        charged, least = len(provider.requests) * CHARGE, least_bound(provider.requests[0])
    print(
        "calls:",
        len(provider.requests),
        "spent:",
        state.spent_nanodollars,
        "charged:",
        charged,
        "least:",
        least,
    )
    assert any(flow.waits_for_money for flow in states)
    assert state.held_nanodollars == 0
    assert charged <= state.spent_nanodollars <= LIMIT
    assert LIMIT - state.spent_nanodollars < least * 1.1
