"""What a manager is asked, and what it asks of its workers."""

import json
from typing import Any

from core.crews.crew_runner import ContextItem, Prompt, StepKind
from core.crews.definition import Definition
from core.crews.strategies.types import TaskContext

_PLAN = """

You manage this task and leave the work to your workers. Split it into subtasks, {most} at most; \
fewer, and larger, are better. Each goes to the worker who can do it best. They work at the same \
time, so no subtask may need the answer to another. A worker is told this task, what you are told \
in the context, and its own subtask. You put their answers together afterwards, so plan no subtask \
for that.

Your workers are these, by name:
{workers}"""
_SUBTASK = """{subtask}

That is your part of a larger task, which a manager puts together of several answers; do your part \
only. The larger task is this, in the words of its manager's order:

{task}"""
_AGAIN = """

The manager sent your earlier answer, which is in the context, back to you, and wants it done \
again, whole. The reason: """
_RESULT = """

You manage this task. Your workers did its subtasks; their answers are in the context, numbered. \
Put them together to the one answer that the task asks for."""
_MAY_SEND_BACK = """ If an answer is wrong or lacks what the task needs, do not repair it: send its \
subtask back, with the reason in words that its worker can act on."""


def manager(definition: Definition) -> str:
    """Return the manager's name."""
    assert definition.manager is not None  # noqa: S101 -- a hierarchical definition has one
    return definition.manager


def rejections(answer: dict[str, Any]) -> dict[int, str]:
    """Return the numbers of the subtasks that a result sends back, each with the reasons."""
    reasons: dict[int, list[str]] = {}
    for entry in answer.get("send_back", ()):
        reasons.setdefault(int(entry["subtask"]), []).append(entry["reason"])
    return {number: " ".join(said) for number, said in reasons.items()}


def plan(ctx: TaskContext) -> Prompt:
    """Ask the manager for subtasks."""
    most = ctx.definition.limits.max_subtasks
    workers = _workers(ctx)
    known = "\n".join(_introduction(ctx, worker) for worker in workers)
    return Prompt(
        step=f"{ctx.name}.plan",
        kind=StepKind.PLAN,
        task=ctx.name,
        agent=manager(ctx.definition),
        description=ctx.description + _PLAN.format(most=most, workers=known),
        expected_output=(
            'JSON with "subtasks", each with its "worker", its "description" and its '
            f'"expected_output". The task as a whole must come to this: {ctx.expected_output}'
        ),
        context=ctx.context,
        output_schema=_plan_schema(workers, most),
    )


def subtask(ctx: TaskContext, round_no: int, number: int) -> Prompt:
    """Ask a worker for its part, again with the reason if the manager sent it back."""
    assigned = _subtasks(ctx)[number - 1]
    description = _SUBTASK.format(subtask=assigned["description"], task=ctx.description)
    context = ctx.context
    if round_no > 1:
        earlier = _answer(ctx, round_no - 1, number)
        reason = rejections(ctx.results[f"{ctx.name}.result.{round_no - 1}"]["output"])[number]
        description += _AGAIN + reason
        context = (
            *context,
            ContextItem(earlier.title, earlier.agent, f"Your answer:\n{earlier.text}"),
        )
    return Prompt(
        step=f"{ctx.name}.work.{round_no}.{number}",
        kind=StepKind.SUBTASK,
        task=ctx.name,
        agent=assigned["worker"],
        description=description,
        expected_output=assigned["expected_output"],
        context=context,
        tools=ctx.tools(assigned["worker"]),
    )


def result(ctx: TaskContext, round_no: int) -> Prompt:
    """Ask the manager for the answer, or for what it sends back while it may."""
    last = round_no > ctx.definition.limits.max_rejections
    expected = f'JSON with "output", the answer to the task. It is to be: {ctx.expected_output}'
    if not last:
        expected += '\nOr JSON with "send_back": the numbers of subtasks to do again, with reasons.'
    return Prompt(
        step=f"{ctx.name}.result.{round_no}",
        kind=StepKind.AGGREGATE,
        task=ctx.name,
        agent=manager(ctx.definition),
        description=ctx.description + _RESULT + ("" if last else _MAY_SEND_BACK),
        expected_output=expected,
        context=(*ctx.context, *_numbered_answers(ctx, round_no)),
        output_schema=_result_schema(ctx.task.output_schema, len(_subtasks(ctx)), last=last),
        guardrails=tuple(ctx.task.guardrails),
    )


def _workers(ctx: TaskContext) -> list[str]:
    """Return who may work on the task: its agent if it names one, as CrewAI's manager has it."""
    chief = manager(ctx.definition)
    everyone = [name for name in ctx.definition.agents if name != chief]
    return everyone if ctx.task.agent is None else [ctx.task.agent]


def _introduction(ctx: TaskContext, name: str) -> str:
    agent, tools = ctx.agent(name), ctx.tools(name)
    able = f" Tools: {', '.join(tools)}." if tools else ""
    return f"- {name}, {agent.role}. {agent.goal}{able}"


def _subtasks(ctx: TaskContext) -> list[dict[str, Any]]:
    return ctx.results[f"{ctx.name}.plan"]["output"]["subtasks"]


def _answer(ctx: TaskContext, round_no: int, number: int) -> ContextItem:
    """Return the newest answer to a subtask up to this round."""
    rounds = range(round_no, 0, -1)
    found = next(r for n in rounds if (r := ctx.results.get(f"{ctx.name}.work.{n}.{number}")))
    role = ctx.agent(_subtasks(ctx)[number - 1]["worker"]).role
    return ContextItem(f"subtask {number} of {ctx.name}", role, found["raw"])


def _numbered_answers(ctx: TaskContext, round_no: int) -> list[ContextItem]:
    """Return what every subtask came to; CrewAI shows texts alone, so they say whose they are."""
    items = list[ContextItem]()
    for number, subtask in enumerate(_subtasks(ctx), 1):
        answer = _answer(ctx, round_no, number)
        text = f"Subtask {number}, for {answer.agent}: {subtask['description']}\n\n{answer.text}"
        items.append(ContextItem(answer.title, answer.agent, text))
    return items


def _plan_schema(workers: list[str], most: int) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    item = {"worker": {"enum": workers}, "description": text, "expected_output": text}
    subtasks = {"type": "array", "minItems": 1, "maxItems": most, "items": _object(item)}
    return _object({"subtasks": subtasks})


def _result_schema(answer: dict[str, Any] | None, subtasks: int, *, last: bool) -> dict[str, Any]:
    output = {"type": "string", "minLength": 1} if answer is None else _embedded(answer)
    if last:
        return _object({"output": output})
    number = {"type": "integer", "minimum": 1, "maximum": subtasks}
    entry = _object({"subtask": number, "reason": {"type": "string", "minLength": 1}})
    schema = _object({"output": output, "send_back": {"type": "array", "items": entry}})
    returned = {"required": ["send_back"], "properties": {"send_back": {"minItems": 1}}}
    return {**schema, "required": [], "anyOf": [{"required": ["output"]}, returned]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _embedded(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema as a part of another; an `$id` keeps its `#/` references its own."""
    if "$ref" not in json.dumps(schema) or "$id" in schema:
        return schema
    return {"$id": "urn:crewline:output", **schema}
