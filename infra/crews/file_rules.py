"""What a crew's files are held against, and a flow that is under way is not.

Every rule yields what breaks it, and where.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core import complaints
from core.crews.definition import GUARDRAIL_NAME, Agent, Definition, Task, placeholders, schemas
from core.crews.definition.rules import RuleError, known, texts
from infra.crews import schema_words


class DoubtError(RuleError):
    """It may be meant: CrewAI runs it so. Only a note where a project of CrewAI's is to run as it is."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """The names of the tools, guardrails and deciders of this deployment."""

    tools: Collection[str]
    guardrails: Collection[str]
    deciders: Collection[str] = ()


def broken(crew: Definition, name: str | None, allowed: AllowList | None) -> Iterator[RuleError]:
    """Yield all that is wrong with a crew whose fields are right; `name` is its folder's."""
    if name not in (None, crew.name):
        yield RuleError(f"the name must be its folder's, {name!r}, not {crew.name!r}", "name")
    yield from _schemas_are_schemas(crew.inputs, crew.tasks)
    yield from _placeholders_are_inputs(crew.agents, crew.tasks, crew.inputs)
    yield from _guardrails_are_told_apart(crew.tasks)
    if allowed is not None:
        yield from _names_are_allowed(crew, allowed)


def _placeholders_are_inputs(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], inputs: Mapping[str, Any]
) -> Iterator[RuleError]:
    """Have an input for every placeholder."""
    there: dict[str, Any] = inputs.get("properties", {})
    for place, text in texts(agents, tasks):
        for name in sorted(placeholders.names(text) - set(there)):
            meant = complaints.choice(name, there)
            yield RuleError(f"no such input: {name}; {meant} ({_literal(name)})", *place)
        for written, name in placeholders.nearly(text):
            if name in there:
                yield DoubtError(f"{written} is not filled: write {{{name}}}", *place)


def _literal(name: str) -> str:
    return f"for the text {{{name}}} itself write {{{{{name}}}}}"


def _guardrails_are_told_apart(tasks: Mapping[str, Task]) -> Iterator[RuleError]:
    """Have every guardrail be a name, or a sentence: with a blank, whatever inputs are in it."""
    for name, task in tasks.items():
        for number, rule in enumerate(task.guardrails):
            if not GUARDRAIL_NAME.fullmatch(rule) and len(rule.split()) == 1:
                complaint = f"{rule!r} is neither the name of a guardrail nor a sentence"
                yield RuleError(complaint, "tasks", name, "guardrails", number)


def _schemas_are_schemas(inputs: dict[str, Any], tasks: Mapping[str, Task]) -> Iterator[RuleError]:
    """Have JSON Schemas whose patterns can be matched, and defaults that fit."""
    bad = [*_schema(inputs, "inputs")]
    yield from bad
    for name, task in tasks.items():
        if task.output_schema is not None:
            yield from _schema(task.output_schema, "tasks", name, "output_schema")
    if bad:
        return
    for name, each in dict[str, Any](inputs.get("properties", {})).items():
        if isinstance(each, dict) and "default" in each:
            yield from _default_fits(inputs, name, each)


def _schema(schema: Any, *place: str) -> Iterator[RuleError]:
    try:
        schemas.check(schema)
    except schemas.BadSchemaError as error:
        why = schema_words.meant(schema, error.place) or str(error)
        yield RuleError(why, *place, *error.place)
        return
    for at, why in schema_words.unknown(schema):
        yield RuleError(why, *place, *at)


def _default_fits(inputs: dict[str, Any], name: str, schema: Any) -> Iterator[RuleError]:
    for mistake in schemas.mistakes(inputs, {name: schema["default"]}):
        if mistake.place[:1] == (name,):
            at = ("inputs", "properties", name, "default", *mistake.place[1:])
            yield RuleError(f"the default does not fit: {mistake.reason}", *at)


def _names_are_allowed(crew: Definition, allowed: AllowList) -> Iterator[RuleError]:
    """Have the deployment know every tool, guardrail and decider."""
    tools, guardrails = sorted(allowed.tools), sorted(allowed.guardrails)
    for name, agent in crew.agents.items():
        yield from known(agent.tools, tools, _not_allowed("tool"), "agents", name, "tools")
    for name, task in crew.tasks.items():
        at = ("tasks", name)
        yield from known(task.tools or (), tools, _not_allowed("tool"), *at, "tools")
        named = [rule for rule in task.guardrails if GUARDRAIL_NAME.fullmatch(rule)]
        yield from known(named, guardrails, _not_allowed("guardrail"), *at, "guardrails")
    if crew.decides is not None:
        there = sorted(allowed.deciders)
        yield from known([crew.decides], there, _not_allowed("decider"), "decides")


def _not_allowed(what: str) -> str:
    return f"no such {what} in crews/allow_list.py (docs/crews.md says how to add one)"
