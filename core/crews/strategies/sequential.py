"""Sequential: the task's agent does it, in one step of the task's name."""

from core.crews.definition import Definition
from core.crews.strategies.parts import Brief, Draft, Results, missing, step
from core.crews.work import Assignment, Kind
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the one step."""
    title = definition.tasks[task].expected_output
    return (step(definition, task, title, _agent(definition, task)),)


def progress(definition: Definition, results: Results, task: str) -> Draft | tuple[Step, ...]:
    """Return the step's answer, or the step."""
    if steps := missing(first(definition, task), results):
        return steps
    answer = results[task]
    return Draft(task, _agent(definition, task), answer["output"], answer["raw"])


def assignment(brief: Brief, _: list[str]) -> Assignment:
    """Return the task as it is written."""
    agent = _agent(brief.definition, brief.name)
    return brief.whole_task(brief.name, Kind.TASK, agent, brief.description, brief.context)


def _agent(definition: Definition, task: str) -> str:
    agent = definition.tasks[task].agent
    assert agent is not None  # noqa: S101 -- a sequential definition has one for every task
    return agent
