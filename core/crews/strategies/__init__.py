"""Strategies: from a crew and the results so far to what may run now, as pure functions.

Tasks follow each other as `order` says. How one task comes to its answer is the process's: one
agent does it (`sequential`), a manager has it done (`hierarchical`), or several agents agree on it
(`consensus`); after that a person may have a say (`human_input`). Each of these looks at the
results and says what is missing: steps that may run, in parallel where there are several, a
person's answer, or nothing more.

A step's id says all about it, so the same results always give the same ready steps, whichever
worker asks and in whatever order the results came.
"""

from collections.abc import Mapping
from typing import Any

from core.crews.definition import Definition
from core.crews.strategies import consensus, hierarchical, human_input, order, sequential
from core.crews.strategies.human_input import answered
from core.crews.strategies.parts import (
    Brief,
    Draft,
    End,
    Ready,
    Results,
    Strategy,
    TaskResult,
    Wait,
    filled,
)
from core.crews.work import Assignment, Told
from core.flows import Step

__all__ = [
    "End",
    "Ready",
    "TaskResult",
    "Wait",
    "answered",
    "assignment",
    "first",
    "ready",
    "task_results",
]

_STRATEGIES: Mapping[str, Strategy] = {
    "sequential": Strategy(sequential.first, sequential.progress, sequential.assignment),
    "hierarchical": Strategy(hierarchical.first, hierarchical.progress, hierarchical.assignment),
    "consensus": Strategy(consensus.first, consensus.progress, consensus.assignment),
}


def first(definition: Definition) -> tuple[Step, ...]:
    """Return the steps that will surely run, in order: what a new flow shows."""
    strategy = _STRATEGIES[definition.process]
    return tuple(step for task in definition.tasks for step in strategy.first(definition, task))


def ready(definition: Definition, results: Results) -> Ready | Wait | End:
    """Return the steps that may run now, what a person must say first, or the end.

    Every step without a result whose needs are met is named, also one that runs already. Correct
    only on the state that a commit returned, not on one read before it.
    """
    done = task_results(definition, results)
    missing = [
        _outcome(definition, results, name)
        for name in definition.tasks
        if name not in done and done.keys() >= order.needs(definition, name)
    ]
    steps = tuple(step for part in missing if isinstance(part, tuple) for step in part)
    if steps:
        return Ready(steps)
    waits = (part for part in missing if isinstance(part, Wait))
    return next(waits, None) or End(_output(definition, results))


def task_results(definition: Definition, results: Results) -> dict[str, TaskResult]:
    """Return what the finished tasks came to, in the order of the tasks."""
    outcomes = {name: _outcome(definition, results, name) for name in definition.tasks}
    return {
        name: TaskResult(name, draft.output, draft.raw, definition.agents[draft.agent].role)
        for name, draft in outcomes.items()
        if isinstance(draft, Draft)
    }


def assignment(
    definition: Definition, inputs: Mapping[str, Any], results: Results, step_id: str
) -> Assignment:
    """Return what a step that is ready asks of its agent, with the inputs filled in."""
    task, *words = step_id.split(".")
    brief = _brief(definition, inputs, results, task)
    strategy = _STRATEGIES[definition.process]
    if len(words) == 1 and words[0].isdigit():
        draft = strategy.progress(definition, results, task)
        assert isinstance(draft, Draft)  # noqa: S101 -- only a draft can have been reviewed
        return human_input.assignment(brief, draft, int(words[0]))
    return strategy.assignment(brief, words)


def _outcome(
    definition: Definition, results: Results, task: str
) -> Draft | Wait | tuple[Step, ...]:
    """Return a task's answer, or what is missing for it."""
    found = _STRATEGIES[definition.process].progress(definition, results, task)
    if isinstance(found, Draft) and definition.tasks[task].human_input:
        return human_input.reviewed(definition, results, task, found)
    return found


def _output(definition: Definition, results: Results) -> Any:
    """Return the last task's answer; of a consensus, with how strong it is and who dissents."""
    draft = _outcome(definition, results, list(definition.tasks)[-1])
    assert isinstance(draft, Draft)  # noqa: S101 -- asked only when every task is finished
    return draft.output if draft.agreed is None else {"answer": draft.output, **draft.agreed}


def _brief(definition: Definition, inputs: Mapping[str, Any], results: Results, task: str) -> Brief:
    done = task_results(definition, results)
    told = (done[name] for name in order.told(definition, task))
    return Brief(
        definition,
        results,
        task,
        filled(definition, inputs, definition.tasks[task].description),
        filled(definition, inputs, definition.tasks[task].expected_output),
        tuple(Told(result.task, result.agent, result.raw) for result in told),
    )
