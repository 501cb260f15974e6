"""Sequential: the task's agent does it, in one step of the task's name."""

from core.crews.crew_runner import Prompt, StepKind
from core.crews.definition import Definition
from core.crews.strategies.types import Results, TaskContext, TaskOutput, make_step, pending
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the one step."""
    title = definition.tasks[task].expected_output
    return (make_step(definition, task, title, _agent(definition, task)),)


def progress(definition: Definition, results: Results, task: str) -> TaskOutput | tuple[Step, ...]:
    """Return the step's answer, or the step."""
    if steps := pending(first(definition, task), results):
        return steps
    answer = results[task]
    return TaskOutput(task, _agent(definition, task), answer["output"], answer["raw"])


def prompt(ctx: TaskContext, _: list[str]) -> Prompt:
    """Return the task as it is written."""
    agent = _agent(ctx.definition, ctx.name)
    return ctx.prompt_for(ctx.name, StepKind.TASK, agent, ctx.description, ctx.context)


def _agent(definition: Definition, task: str) -> str:
    agent = definition.tasks[task].agent
    assert agent is not None  # noqa: S101 -- a sequential definition has one for every task
    return agent
