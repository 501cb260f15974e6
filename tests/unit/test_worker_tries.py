"""What a worker records of attempts that fail: what they cost in vain."""

import itertools
from typing import Any

import pytest

from core.adapters.memory import MemoryFlows
from core.costs.facts import Facts
from core.costs.rollup import day_of
from core.crews import step_runner
from core.crews.clock import NoLimit
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.definition import Definition
from core.flows import Status
from tests.worker_parts import CALL, Scripted, a_crew, a_worker, launched


async def test_what_a_failed_attempt_cost_in_vain_is_recorded_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
):
    tries = itertools.count()

    def fails_once(_work: StepTask, _session: Session) -> Any:
        if next(tries) == 0:
            raise StepFailedError("a tool broke")

    monkeypatch.setattr(step_runner, "RETRY_SECONDS", 0.01)
    memory = MemoryFlows()
    await launched(memory, a_crew({"two": {"retries": 1}}))
    await a_worker(memory, Scripted(two=fails_once)).run_flow("t", "f", NoLimit())
    cells = memory.cells("t", [day_of(memory.now_ms())], hours=False)
    facts = {cell.names[1]: cell.facts for cell in cells}
    assert facts["one"] == {"tries": 1}
    assert facts["two"] == {
        "tries": 2,
        "tries_again": 1,
        "wasted_retry_n": 1,
        "wasted_retry_cost": CALL.cost_nanodollars,
    }


async def test_what_a_step_cost_that_failed_for_good_is_recorded_once():
    def fails(_work: StepTask, _session: Session) -> Any:
        raise StepFailedError("a tool broke")

    memory = MemoryFlows()
    await launched(memory)
    worker = a_worker(memory, Scripted(two=fails))
    await worker.run_flow("t", "f", NoLimit())
    assert (await memory.state("t", "f")).head.status is Status.FAILED
    cells = memory.cells("t", [day_of(memory.now_ms())], hours=False)
    (facts,) = [cell.facts for cell in cells if cell.names[1] == "two"]
    wasted = {"wasted_failed_n": 1, "wasted_failed_cost": CALL.cost_nanodollars}
    assert facts == {"tries": 1} | wasted


async def facts_of(memory: MemoryFlows, crew: Definition | None = None, **launch: Any) -> Facts:
    """The facts of the first task of a flow that goes well."""
    await launched(memory, crew, **launch)
    await a_worker(memory, Scripted()).run_flow("t", "f", NoLimit())
    cells = memory.cells("t", [day_of(memory.now_ms())], hours=False)
    return next(cell.facts for cell in cells if cell.names[1] == "one")


@pytest.mark.parametrize(
    ("webhooks", "late"),
    [({}, 0), ({"crew": "https://x.example"}, 1), ({"crew": "https://x.example", "task": "https://x.example"}, 0)],
)  # fmt: skip
async def test_nobody_waits_for_calls_of_a_flow_that_tells_its_end_alone(
    webhooks: dict[str, str], late: int
):
    facts = await facts_of(MemoryFlows(), webhooks=webhooks)
    assert facts.get("late_n", 0) == late
    assert facts.get("late_cost_nanodollars", 0) == late * CALL.cost_nanodollars


@pytest.mark.parametrize(
    ("task", "facts"),
    [
        ({}, {"tries": 1}),
        ({"guardrails": ["a rule"]}, {"tries": 1, "tries_checked": 1}),
        ({"output_schema": {"type": "object"}}, {"tries": 1, "tries_checked": 1}),
        ({"required_quality": "critical"}, {"tries": 1, "quality_critical": 1}),
    ],
)
async def test_what_a_task_asks_of_its_answers_is_recorded(task: dict[str, Any], facts: Facts):
    assert await facts_of(MemoryFlows(), a_crew({"one": task})) == facts
