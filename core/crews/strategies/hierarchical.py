"""Hierarchical: a manager plans subtasks, workers do them side by side, the manager answers.

    weigh.plan -> weigh.work.1.1, weigh.work.1.2, ... -> weigh.result.1
                                                         sends 2 back: weigh.work.2.2 -> weigh.result.2

In a result the manager either answers or sends subtasks back with a reason, for `max_rejections`
rounds; in the last result it can only answer. CrewAI's manager delegates in a chat that must live
in one process; this one plans once, so each part of the work is a step that any worker may run.
"""

from collections.abc import Iterable
from typing import Any

from core.crews.definition import Definition
from core.crews.strategies import managing
from core.crews.strategies.parts import Brief, Draft, Results, as_text, missing, step
from core.crews.work import Assignment
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the plan and the first result; what lies between them only the plan knows."""
    return _plan(definition, task), _result(definition, task, 1)


def progress(definition: Definition, results: Results, task: str) -> Draft | tuple[Step, ...]:
    """Return the manager's answer, or the steps that it waits for."""
    plan = _plan(definition, task)
    if plan.id not in results:
        return (plan,)
    subtasks: list[dict[str, Any]] = results[plan.id]["output"]["subtasks"]
    wanted: Iterable[int] = range(1, len(subtasks) + 1)
    for turn in range(1, definition.limits.max_rejections + 2):
        result = _result(definition, task, turn)
        work = tuple(_work(definition, task, turn, n, subtasks[n - 1]) for n in wanted)
        if steps := missing(work, results) or missing((result,), results):
            return steps
        answer = results[result.id]["output"]
        wanted = sorted(managing.sent_back(answer))
        if not wanted:
            return _draft(definition, result.id, answer)
    raise ValueError(f"the last result of {task} sends work back")  # its schema does not let it


def assignment(brief: Brief, words: list[str]) -> Assignment:
    """Return a plan, a subtask or a result, by the words of its id: `work.2.1`."""
    match words:
        case ["plan"]:
            return managing.plan(brief)
        case ["work", turn, number]:
            return managing.subtask(brief, int(turn), int(number))
        case ["result", turn]:
            return managing.result(brief, int(turn))
        case _:
            raise ValueError(f"no step of a hierarchical task: {'.'.join(words)}")


def _plan(definition: Definition, task: str) -> Step:
    title = f"Plan: {definition.tasks[task].expected_output}"
    return step(definition, f"{task}.plan", title, managing.manager(definition))


def _work(definition: Definition, task: str, turn: int, n: int, subtask: dict[str, Any]) -> Step:
    return step(definition, f"{task}.work.{turn}.{n}", subtask["description"], subtask["worker"])


def _result(definition: Definition, task: str, turn: int) -> Step:
    title = definition.tasks[task].expected_output
    return step(definition, f"{task}.result.{turn}", title, managing.manager(definition))


def _draft(definition: Definition, step_id: str, answer: dict[str, Any]) -> Draft:
    output = answer["output"]
    return Draft(step_id, managing.manager(definition), output, as_text(output))
