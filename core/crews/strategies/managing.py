"""What a manager is asked, and what it asks of its workers."""

import json
from typing import Any

from core.crews.definition import Definition
from core.crews.strategies.parts import Brief
from core.crews.work import Assignment, Kind, Told

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


def sent_back(answer: dict[str, Any]) -> dict[int, str]:
    """Return the numbers of the subtasks that a result sends back, each with the reasons."""
    reasons: dict[int, list[str]] = {}
    for entry in answer.get("send_back", ()):
        reasons.setdefault(int(entry["subtask"]), []).append(entry["reason"])
    return {number: " ".join(said) for number, said in reasons.items()}


def plan(brief: Brief) -> Assignment:
    """Ask the manager for subtasks."""
    most = brief.definition.limits.max_subtasks
    workers = _workers(brief)
    known = "\n".join(_introduction(brief, worker) for worker in workers)
    return Assignment(
        step=f"{brief.name}.plan",
        kind=Kind.PLAN,
        task=brief.name,
        agent=manager(brief.definition),
        description=brief.description + _PLAN.format(most=most, workers=known),
        expected_output=(
            'JSON with "subtasks", each with its "worker", its "description" and its '
            f'"expected_output". The task as a whole must come to this: {brief.expected_output}'
        ),
        context=brief.context,
        output_schema=_plan_schema(workers, most),
    )


def subtask(brief: Brief, turn: int, number: int) -> Assignment:
    """Ask a worker for its part, again with the reason if the manager sent it back."""
    order = _subtasks(brief)[number - 1]
    description = _SUBTASK.format(subtask=order["description"], task=brief.description)
    context = brief.context
    if turn > 1:
        earlier = _answer(brief, turn - 1, number)
        reason = sent_back(brief.results[f"{brief.name}.result.{turn - 1}"]["output"])[number]
        description += _AGAIN + reason
        context = (*context, Told(earlier.title, earlier.agent, f"Your answer:\n{earlier.text}"))
    return Assignment(
        step=f"{brief.name}.work.{turn}.{number}",
        kind=Kind.SUBTASK,
        task=brief.name,
        agent=order["worker"],
        description=description,
        expected_output=order["expected_output"],
        context=context,
        tools=brief.tools(order["worker"]),
    )


def result(brief: Brief, turn: int) -> Assignment:
    """Ask the manager for the answer, or for what it sends back while it may."""
    last = turn > brief.definition.limits.max_rejections
    expected = f'JSON with "output", the answer to the task. It is to be: {brief.expected_output}'
    if not last:
        expected += '\nOr JSON with "send_back": the numbers of subtasks to do again, with reasons.'
    return Assignment(
        step=f"{brief.name}.result.{turn}",
        kind=Kind.AGGREGATE,
        task=brief.name,
        agent=manager(brief.definition),
        description=brief.description + _RESULT + ("" if last else _MAY_SEND_BACK),
        expected_output=expected,
        context=(*brief.context, *_numbered_answers(brief, turn)),
        output_schema=_result_schema(brief.task.output_schema, len(_subtasks(brief)), last=last),
        guardrails=tuple(brief.task.guardrails),
    )


def _workers(brief: Brief) -> list[str]:
    """Return who may work on the task: its agent if it names one, as CrewAI's manager has it."""
    chief = manager(brief.definition)
    everyone = [name for name in brief.definition.agents if name != chief]
    return everyone if brief.task.agent is None else [brief.task.agent]


def _introduction(brief: Brief, name: str) -> str:
    agent, tools = brief.agent(name), brief.tools(name)
    able = f" Tools: {', '.join(tools)}." if tools else ""
    return f"- {name}, {agent.role}. {agent.goal}{able}"


def _subtasks(brief: Brief) -> list[dict[str, Any]]:
    return brief.results[f"{brief.name}.plan"]["output"]["subtasks"]


def _answer(brief: Brief, turn: int, number: int) -> Told:
    """Return the newest answer to a subtask up to this turn."""
    turns = range(turn, 0, -1)
    found = next(r for t in turns if (r := brief.results.get(f"{brief.name}.work.{t}.{number}")))
    role = brief.agent(_subtasks(brief)[number - 1]["worker"]).role
    return Told(f"subtask {number} of {brief.name}", role, found["raw"])


def _numbered_answers(brief: Brief, turn: int) -> list[Told]:
    """Return what every subtask came to; CrewAI shows texts alone, so they say whose they are."""
    told = list[Told]()
    for number, order in enumerate(_subtasks(brief), 1):
        answer = _answer(brief, turn, number)
        text = f"Subtask {number}, for {answer.agent}: {order['description']}\n\n{answer.text}"
        told.append(Told(answer.title, answer.agent, text))
    return told


def _plan_schema(workers: list[str], most: int) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    order = {"worker": {"enum": workers}, "description": text, "expected_output": text}
    subtasks = {"type": "array", "minItems": 1, "maxItems": most, "items": _object(order)}
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
