"""What each process asks of a crew. Every rule raises RuleError that says what is wrong, and where."""

from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from typing import Any

from core import complaints
from core.crews.definition import placeholders, schema_words, schemas
from core.crews.definition.elements import (
    GUARDRAIL_NAME,
    Agent,
    Consensus,
    Process,
    Task,
)

PERSONA = ("role", "goal", "backstory")
PROMPT_TEXTS = ("description", "expected_output")
Place = tuple[str | int, ...]  # of a value in a crew's file: its keys from the outside in


class RuleError(ValueError):
    """A rule is broken at `place`."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place: Place = place


def known(
    names: Collection[str | None], there: Collection[str], complaint: str, *place: str | int
) -> None:
    """Have all names be there; of the first that is not, say which may have been meant."""
    if missing := sorted(str(name) for name in names if name not in there):
        meant = complaints.choice(missing[0], there)
        raise RuleError(f"{complaint}: {', '.join(missing)}; {meant}", *place)


def names_are_known(agents: Mapping[str, Agent], tasks: Mapping[str, Task]) -> None:
    """Have the agents and the earlier tasks that tasks name."""
    earlier: list[str] = []
    for name, task in tasks.items():
        at = ("tasks", name)
        known({task.agent} - {None}, agents, f"task {name}: no such agent", *at, "agent")
        complaint = f"task {name}: context is no earlier task"
        known(set(task.context or ()), earlier, complaint, *at, "context")
        earlier.append(name)


def belongs_to(process: Process, *, manager: str | None, consensus: Consensus | None) -> None:
    """Have no part of another process."""
    if manager is not None and process != "hierarchical":
        raise RuleError(f"a {process} crew has no manager", "manager")
    if consensus is not None and process != "consensus":
        raise RuleError(f"a {process} crew has no consensus", "consensus")


def sequential(tasks: Mapping[str, Task]) -> None:
    """Have an agent for every task, and one output at the end."""
    for name, task in tasks.items():
        if task.agent is None:
            raise RuleError(f"task {name}: no agent", "tasks", name)
    last = list(takewhile(lambda name: tasks[name].async_execution, reversed(list(tasks))))
    if len(last) > 1:
        raise RuleError(
            "a crew may end with one task of async_execution, not with several", "tasks", last[0]
        )


def hierarchical(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], manager: str | None
) -> None:
    """Have a manager, workers, and tasks that leave the work to them."""
    if manager is None:
        raise RuleError("a hierarchical crew names its manager", "process")
    known({manager}, agents, "manager: no such agent", "manager")
    if len(agents) == 1:
        raise RuleError("a manager needs another agent to work", "agents")
    for name, task in tasks.items():
        _in_order(name, task, "hierarchical")
        if task.agent == manager:
            complaint = f"task {name}: its agent is the manager, who does not work"
            raise RuleError(complaint, "tasks", name, "agent")


def consensus(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], asked: Consensus | None
) -> None:
    """Have different agents who propose, and perhaps a judge who does not."""
    if asked is None:
        complaint = "a consensus crew has consensus: who proposes, and when it ends"
        raise RuleError(complaint, "process")
    at = ("consensus", "agents")
    known(asked.agents, agents, "consensus: no such agent", *at)
    if len(set(asked.agents)) < len(asked.agents):
        raise RuleError("consensus: an agent is named twice", *at)
    _judge(agents, asked)
    for name, task in tasks.items():
        _in_order(name, task, "consensus")
        if task.agent is not None:
            complaint = f"task {name}: the agents of the consensus do it, name none here"
            raise RuleError(complaint, "tasks", name, "agent")


def _judge(agents: Mapping[str, Agent], asked: Consensus) -> None:
    if asked.judge is None:
        if asked.tie == "judge":
            raise RuleError("consensus: tie: judge needs a judge", "consensus", "tie")
        return
    at = ("consensus", "judge")
    known({asked.judge}, agents, "consensus: no such agent", *at)
    if asked.judge in asked.agents:
        raise RuleError("consensus: the judge does not propose", *at)


def _in_order(name: str, task: Task, process: Process) -> None:
    if task.async_execution:
        complaint = f"task {name}: async_execution is for sequential crews, not {process}"
        raise RuleError(complaint, "tasks", name, "async_execution")


def texts(agents: Mapping[str, Agent], tasks: Mapping[str, Task]) -> Iterator[tuple[Place, str]]:
    """Yield every text that a model is to read, with its place."""
    for name, agent in agents.items():
        yield from ((("agents", name, field), getattr(agent, field)) for field in PERSONA)
    for name, task in tasks.items():
        yield from ((("tasks", name, field), getattr(task, field)) for field in PROMPT_TEXTS)
        for number, rule in enumerate(task.guardrails):
            yield ("tasks", name, "guardrails", number), rule


def placeholders_are_inputs(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], inputs: Mapping[str, Any]
) -> None:
    """Have an input for every placeholder."""
    there: dict[str, Any] = inputs.get("properties", {})
    for place, text in texts(agents, tasks):
        for name in sorted(placeholders.names(text) - set(there)):
            meant = complaints.choice(name, there)
            raise RuleError(f"no such input: {name}; {meant} ({_literal(name)})", *place)
        for written, name in placeholders.nearly(text):
            if name in there:
                raise RuleError(f"{written} is not filled: write {{{name}}}", *place)


def _literal(name: str) -> str:
    return f"for the text {{{name}}} itself write {{{{{name}}}}}"


def guardrails_are_told_apart(tasks: Mapping[str, Task]) -> None:
    """Have every guardrail be a name, or a sentence: with a blank, whatever inputs are in it."""
    for name, task in tasks.items():
        for number, rule in enumerate(task.guardrails):
            if not GUARDRAIL_NAME.fullmatch(rule) and len(rule.split()) == 1:
                complaint = f"{rule!r} is neither the name of a guardrail nor a sentence"
                raise RuleError(complaint, "tasks", name, "guardrails", number)


def schemas_are_schemas(inputs: dict[str, Any], tasks: Mapping[str, Task]) -> None:
    """Have JSON Schemas whose patterns can be matched, and defaults that fit."""
    _schema(inputs, "inputs")
    for name, task in tasks.items():
        if task.output_schema is not None:
            _schema(task.output_schema, "tasks", name, "output_schema")
    for name, each in dict[str, Any](inputs.get("properties", {})).items():
        if isinstance(each, dict) and "default" in each:
            _default_fits(inputs, name, each)


def _schema(schema: Any, *place: str) -> None:
    try:
        schemas.check(schema)
    except schemas.BadSchemaError as error:
        why = schema_words.meant(schema, error.place) or str(error)
        raise RuleError(why, *place, *error.place) from error
    for at, why in schema_words.unknown(schema):
        raise RuleError(why, *place, *at)


def _default_fits(inputs: dict[str, Any], name: str, schema: Any) -> None:
    for mistake in schemas.mistakes(inputs, {name: schema["default"]}):
        if mistake.place[:1] == (name,):
            at = ("inputs", "properties", name, "default", *mistake.place[1:])
            raise RuleError(f"the default does not fit: {mistake.reason}", *at)


def tools_are_allowed(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], allowed: Collection[str]
) -> None:
    """Have the deployment know every tool."""
    for name, agent in agents.items():
        known(agent.tools, sorted(allowed), _not_allowed("tool"), "agents", name, "tools")
    for name, task in tasks.items():
        known(task.tools or (), sorted(allowed), _not_allowed("tool"), "tasks", name, "tools")


def guardrails_are_allowed(tasks: Mapping[str, Task], allowed: Collection[str]) -> None:
    """Have the deployment know every guardrail that is a name."""
    for name, task in tasks.items():
        names = [rule for rule in task.guardrails if GUARDRAIL_NAME.fullmatch(rule)]
        known(names, sorted(allowed), _not_allowed("guardrail"), "tasks", name, "guardrails")


def decider_is_allowed(decides: str | None, allowed: Collection[str]) -> None:
    """Have the deployment know what a crew decides, if it learns anything."""
    if decides is not None:
        known([decides], sorted(allowed), _not_allowed("decider"), "decides")


def _not_allowed(what: str) -> str:
    return f"no such {what} in crews/allow_list.py (docs/crews.md says how to add one)"
