"""Flows that CrewAI runs, and what is recommended after them: from prompts to dollars."""

import json
from datetime import UTC, datetime
from typing import Any

from core.adapters.memory import MemoryFlows
from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.report import Query
from core.costs.savings.recommendation import Kind
from core.costs.savings.report import Savings, savings
from core.costs.savings.spend import Record
from core.crews.clock import NoLimit
from tests.crewai_parts import RunnerHarness, a_crew, a_harness
from tests.worker_parts import a_worker, launched

LONG = "The house rules. " * 500
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
GOOD, BAD = json.dumps({"word": "three"}), "no JSON"


def an_office(**task: Any) -> Any:
    crew = a_crew(one=task)
    agents = {n: agent.model_copy(update={"backstory": LONG}) for n, agent in crew.agents.items()}
    return crew.model_copy(update={"agents": agents})


def counting(harness: RunnerHarness) -> RunnerHarness:
    """Have a call cost a cent or so."""
    harness.script.usage = {"prompt_tokens": 4000, "completion_tokens": 400}
    return harness


async def found_after(memory: MemoryFlows) -> Savings:
    now = datetime.now(UTC)
    record = Record()
    record.take(memory.cells("t", [now.date().isoformat()], hours=False))
    query = Query(now.date(), now.date())
    return await savings("t", query, record, CataloguePriceBook(), round(now.timestamp() * 1000))


async def test_flows_that_ask_the_same_are_told_of_their_repeats_and_of_a_smaller_model():
    memory = MemoryFlows()
    harness = counting(a_harness(*["three"] * 5, model="openai/gpt-4o"))
    for number in range(5):
        await launched(memory, an_office(), f"f{number}", inputs={"what": "it"})
        await a_worker(memory, harness.runner).run_flow("t", f"f{number}", NoLimit())
    told = {each.target.kind: each for each in (await found_after(memory)).recommendations}
    assert told.keys() == {Kind.DUPLICATE_CALLS, Kind.PROMPT_CACHING, Kind.RIGHT_SIZING}
    assert told[Kind.DUPLICATE_CALLS].money.saved == 4 * (4000 * 2500 + 400 * 10_000)
    assert told[Kind.DUPLICATE_CALLS].target.names == ("office", "one", "clerk", "openai/gpt-4o")


async def test_flows_whose_answers_are_refused_are_told_what_that_costs():
    memory = MemoryFlows()
    harness = counting(a_harness(*[BAD, GOOD] * 4, model="openai/gpt-4o"))
    for number in range(4):
        crew = an_office(output_schema=SCHEMA)
        await launched(memory, crew, f"f{number}", inputs={"what": f"{number}"})
        await a_worker(memory, harness.runner).run_flow("t", f"f{number}", NoLimit())
    [cell] = memory.cells("t", [datetime.now(UTC).date().isoformat()], hours=False)
    assert (cell.facts["tries"], cell.facts["tries_again"], cell.facts["tries_checked"]) == (
        8,
        4,
        8,
    )
    told = {each.target.kind: each for each in (await found_after(memory)).recommendations}
    assert told[Kind.FAILED_CALLS].money.saved == 4 * (4000 * 2500 + 400 * 10_000)
    assert "expected_output" in told[Kind.FAILED_CALLS].change
