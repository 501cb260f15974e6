"""What workers and people record of flows in trials."""

from typing import Any

import pytest

from core.adapters.memory import MemoryFlows, MemoryTrials
from core.costs.model_choices import Choice, arm_of
from core.costs.trials import Arm, Signal
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import Prompt, Session, StepFailedError, StepKind, StepTask
from core.crews.definition import Definition
from core.crews.trials import answer_outcome
from core.flows import Flow, events
from tests.trial_parts import a_trial, tallies
from tests.worker_parts import Scripted, a_crew, a_worker, launched

CHOICE = Choice("small", "r1", "run", Arm.CHEAPER)
SENT_BACK = {"send_back": [{"subtask": "a", "feedback": "f"}]}


async def begun(memory: MemoryFlows, crew: Definition, task: str = "one") -> Flow:
    """Begin a trial at a task, and a flow whose task the cheaper model does."""
    trials = MemoryTrials(memory)
    trial = await trials.start("t", a_trial(crew=crew.name, task=task))
    flow = next(n for n in map(str, range(99)) if arm_of(trial.run, n, 0.5) is Arm.CHEAPER)
    await launched(memory, crew, flow)
    return await memory.state("t", flow)


async def run(memory: MemoryFlows, state: Flow, **steps: Any) -> None:
    await a_worker(memory, Scripted(**steps)).run_flow("t", state.id, NoLimit())


async def of_cheaper(memory: MemoryFlows, signal: Signal = Signal.ANSWERS) -> tuple[int, float]:
    """How many outcomes the cheaper model has, and their sum."""
    (trial,) = await MemoryTrials(memory).all("t")
    assert tallies(trial, signal)[0] == (0, 0)
    return tallies(trial, signal)[1]


def refuses(_: StepTask, session: Session) -> None:
    session.post(events.custom("answer_refused", {"step": "one", "reason": "no"}))


async def test_a_task_in_a_trial_counts_once_and_the_others_do_not():
    memory = MemoryFlows()
    await run(memory, await begun(memory, a_crew()), two=refuses)
    assert await of_cheaper(memory) == (1, 1)


async def test_an_answer_that_was_refused_before_it_was_taken_counts_half():
    memory = MemoryFlows()
    await run(memory, await begun(memory, a_crew()), one=refuses)
    assert await of_cheaper(memory) == (1, 0.5)


async def test_a_step_that_fails_at_the_task_counts_as_bad_and_one_that_fails_at_another_not():
    for failing, told in (("one", (1, 0)), ("two", (1, 1))):
        memory = MemoryFlows()
        state = await begun(memory, a_crew())
        await run(memory, state, **{failing: _fails})
        assert await of_cheaper(memory) == told


def _fails(work: StepTask, _: Session) -> None:
    raise StepFailedError(f"no {work.prompt.step}")


async def test_a_step_that_kills_its_workers_counts_as_bad_when_it_is_given_up():
    memory = MemoryFlows()
    state = await begun(memory, a_crew(max_attempts=1))
    step = state.steps[0]
    await memory.claim("t", state.id, step, owner="killed", lease_ms=0, events=[])
    await run(memory, state)
    assert await of_cheaper(memory) == (1, 0)


@pytest.mark.parametrize("approve", [True, False])
async def test_a_person_s_review_of_the_task_counts(approve: bool):
    memory = MemoryFlows()
    state = await begun(memory, a_crew({"one": {"human_input": True}}))
    await run(memory, state)
    control = FlowControl(memory, memory)
    for _ in range(2):
        await control.resume(
            tenant="t", flow=state.id, approve=approve, feedback="shorter", review="one.review.1"
        )
    await run(memory, state)
    assert await of_cheaper(memory, Signal.PEOPLE) == (1, approve)
    assert await of_cheaper(memory) == (1, 1)  # of its first version


@pytest.mark.parametrize(
    ("task", "judge"),
    [
        ({}, Signal.PEOPLE),
        ({"human_input": True}, Signal.PEOPLE),
        ({"guardrails": ["is short"]}, Signal.ANSWERS),
        ({"output_schema": {"type": "object"}}, Signal.ANSWERS),
    ],
)
async def test_from_an_answer_on_that_nothing_checks_a_trial_is_judged_by_people(
    task: dict[str, Any], judge: Signal
):
    memory = MemoryFlows()
    await run(memory, await begun(memory, a_crew({"one": task})))
    (trial,) = await MemoryTrials(memory).all("t")
    assert trial.evidence.answers.outcomes == 1
    assert trial.evidence.judged_by is judge


def a_prompt(kind: StepKind) -> Prompt:
    return Prompt("one.x", kind, "one", "a", "d", "e")


@pytest.mark.parametrize(
    ("kind", "output", "refused", "told"),
    [
        (StepKind.TASK, "x", False, (1, True)),
        (StepKind.TASK, "x", True, (0.5, True)),
        (StepKind.VERDICT, {}, False, (1, True)),
        (StepKind.AGGREGATE, {"output": "x"}, False, (1, True)),
        (StepKind.AGGREGATE, SENT_BACK, False, None),
        (StepKind.AGGREGATE, SENT_BACK, True, (0.5, False)),
        (StepKind.PLAN, {}, False, None),
        (StepKind.SUBTASK, "x", True, (0.5, False)),
        (StepKind.PROPOSAL, "x", False, None),
    ],
)
def test_what_a_step_says_of_its_task_is_final_where_it_answers_it(
    kind: StepKind, output: Any, refused: bool, told: tuple[float, bool] | None
):
    result = {"output": output, "raw": ""}
    found = answer_outcome(CHOICE, a_prompt(kind), result, refused=refused, checked=True)
    assert (found and (found.quality, found.final)) == told
    assert answer_outcome(None, a_prompt(kind), result, refused=refused, checked=True) is None
    assert (
        answer_outcome(Choice("m"), a_prompt(kind), result, refused=refused, checked=True) is None
    )
