"""Hierarchical: a manager plans subtasks, workers do them side by side, the manager answers.

    weigh.plan -> weigh.work.1.1, weigh.work.1.2, ... -> weigh.result.1
                                                         sends 2 back: weigh.work.2.2 -> weigh.result.2

In a result the manager either answers or sends subtasks back with a reason, for `max_rejections`
rounds; in the last result it can only answer. CrewAI's manager delegates in a chat that must live
in one process; this one plans once, so each part of the work is a step that any worker may run.
"""

from collections.abc import Iterable
from typing import Any

from core.crews.crew_runner import Prompt
from core.crews.definition import Definition, as_text
from core.crews.strategies import manager_prompts
from core.crews.strategies.types import (
    Results,
    TaskContext,
    TaskOutput,
    make_step,
    pending,
)
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the plan and the first result; what lies between them only the plan knows."""
    return _plan(definition, task), _result(definition, task, 1)


def progress(definition: Definition, results: Results, task: str) -> TaskOutput | tuple[Step, ...]:
    """Return the manager's answer, or the steps that it waits for."""
    plan = _plan(definition, task)
    if plan.id not in results:
        return (plan,)
    subtasks: list[dict[str, Any]] = results[plan.id]["output"]["subtasks"]
    wanted: Iterable[int] = range(1, len(subtasks) + 1)
    for round_no in range(1, definition.limits.max_rejections + 2):
        result = _result(definition, task, round_no)
        work = tuple(_work(definition, task, round_no, n, subtasks[n - 1]) for n in wanted)
        if steps := pending(work, results) or pending((result,), results):
            return steps
        answer = results[result.id]["output"]
        wanted = sorted(manager_prompts.rejections(answer))
        if not wanted:
            return _draft(definition, result.id, answer)
    raise ValueError(f"the last result of {task} sends work back")  # its schema does not let it


def prompt(ctx: TaskContext, words: list[str]) -> Prompt:
    """Return a plan, a subtask or a result, by the words of its id: `work.2.1`."""
    match words:
        case ["plan"]:
            return manager_prompts.plan(ctx)
        case ["work", round_no, number]:
            return manager_prompts.subtask(ctx, int(round_no), int(number))
        case ["result", round_no]:
            return manager_prompts.result(ctx, int(round_no))
        case _:
            raise ValueError(f"no step of a hierarchical task: {'.'.join(words)}")


def _plan(definition: Definition, task: str) -> Step:
    title = f"Plan: {definition.tasks[task].expected_output}"
    return make_step(definition, f"{task}.plan", title, manager_prompts.manager(definition))


def _work(
    definition: Definition, task: str, round_no: int, n: int, subtask: dict[str, Any]
) -> Step:
    return make_step(
        definition, f"{task}.work.{round_no}.{n}", subtask["description"], subtask["worker"]
    )


def _result(definition: Definition, task: str, round_no: int) -> Step:
    title = definition.tasks[task].expected_output
    return make_step(
        definition, f"{task}.result.{round_no}", title, manager_prompts.manager(definition)
    )


def _draft(definition: Definition, step_id: str, answer: dict[str, Any]) -> TaskOutput:
    output = answer["output"]
    return TaskOutput(step_id, manager_prompts.manager(definition), output, as_text(output))
