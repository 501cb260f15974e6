"""Strategies: from a crew and the results so far to what may run now, as pure functions.

Tasks follow each other as `task_order` says. How one task comes to its answer is the process's: one
agent does it (`sequential`), a manager has it done (`hierarchical`), or several agents agree on it
(`consensus`); after that a person may have a say (`human_input`). Each of these looks at the
results and says what is missing: steps that may run, in parallel where there are several, a
person's answer, or nothing more.

A step's id says all about it, so the same results always give the same ready steps, whichever
worker asks and in whatever order the results came. Where inputs matter, to texts and titles, the
definition is one that is `filled`.
"""

from collections.abc import Mapping
from typing import Any

from core.crews.definition import Definition
from core.crews.strategies import consensus, hierarchical, human_input, sequential, task_order
from core.crews.strategies.human_input import review_answer
from core.crews.strategies.types import (
    End,
    Ready,
    Results,
    Strategy,
    TaskContext,
    TaskOutput,
    TaskResult,
    Wait,
)
from core.crews.work import ContextItem, Prompt
from core.flows import Step

__all__ = [
    "End",
    "Ready",
    "TaskResult",
    "Wait",
    "initial_steps",
    "next_action",
    "prompt",
    "review_answer",
    "task_results",
]

_STRATEGIES: Mapping[str, Strategy] = {
    "sequential": Strategy(sequential.first, sequential.progress, sequential.prompt),
    "hierarchical": Strategy(hierarchical.first, hierarchical.progress, hierarchical.prompt),
    "consensus": Strategy(consensus.first, consensus.progress, consensus.prompt),
}


def initial_steps(definition: Definition) -> tuple[Step, ...]:
    """Return the steps that will surely run, in order: what a new flow shows."""
    strategy = _STRATEGIES[definition.process]
    return tuple(step for task in definition.tasks for step in strategy.first(definition, task))


def next_action(definition: Definition, results: Results) -> Ready | Wait | End:
    """Return the steps that may run now, what a person must say first, or the end.

    Every step without a result whose needs are met is named, also one that runs already. Correct
    only on the state that a commit returned, not on one read before it.
    """
    done = task_results(definition, results)
    waiting = [
        _outcome(definition, results, name)
        for name in definition.tasks
        if name not in done and done.keys() >= task_order.needs(definition, name)
    ]
    steps = tuple(step for each in waiting if isinstance(each, tuple) for step in each)
    if steps:
        return Ready(steps)
    waits = (each for each in waiting if isinstance(each, Wait))
    return next(waits, None) or End(_output(definition, results))


def task_results(definition: Definition, results: Results) -> dict[str, TaskResult]:
    """Return what the finished tasks came to, in the order of the tasks."""
    outcomes = {name: _outcome(definition, results, name) for name in definition.tasks}
    return {
        name: TaskResult(name, draft.output, draft.raw, definition.agents[draft.agent].role)
        for name, draft in outcomes.items()
        if isinstance(draft, TaskOutput)
    }


def prompt(definition: Definition, results: Results, step_id: str) -> Prompt:
    """Return what a step that is ready asks of its agent."""
    task, *words = step_id.split(".")
    ctx = _task_context(definition, results, task)
    strategy = _STRATEGIES[definition.process]
    if len(words) == 1 and words[0].isdigit():
        draft = strategy.progress(definition, results, task)
        assert isinstance(draft, TaskOutput)  # noqa: S101 -- only a draft can have been reviewed
        return human_input.prompt(ctx, draft, int(words[0]))
    return strategy.prompt(ctx, words)


def _outcome(
    definition: Definition, results: Results, task: str
) -> TaskOutput | Wait | tuple[Step, ...]:
    """Return a task's answer, or what is missing for it."""
    found = _STRATEGIES[definition.process].progress(definition, results, task)
    if isinstance(found, TaskOutput) and definition.tasks[task].human_input:
        return human_input.reviewed(definition, results, task, found)
    return found


def _output(definition: Definition, results: Results) -> Any:
    """Return the last task's answer; of a consensus, with how strong it is and who dissents."""
    draft = _outcome(definition, results, list(definition.tasks)[-1])
    assert isinstance(draft, TaskOutput)  # noqa: S101 -- asked only when every task is finished
    return draft.output if draft.agreed is None else {"answer": draft.output, **draft.agreed}


def _task_context(definition: Definition, results: Results, task: str) -> TaskContext:
    done = task_results(definition, results)
    sources = [done[name] for name in task_order.context_tasks(definition, task)]
    return TaskContext(
        definition,
        results,
        task,
        definition.tasks[task].description,
        definition.tasks[task].expected_output,
        tuple(item for result in sources for item in _context_of(result, results)),
    )


def _context_of(result: TaskResult, results: Results) -> list[ContextItem]:
    """Return a finished task's answer, and what a person remarked on approving it."""
    answer = ContextItem(result.task, result.agent, result.raw)
    return [answer, *human_input.approval_remarks(results, result.task)]
