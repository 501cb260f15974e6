"""The definition of a crew, and what makes one that can work."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Self, cast, get_args

from pydantic import Field, ValidationInfo, model_validator

from core.crews.definition import placeholders, rules, schemas
from core.crews.definition.elements import (
    FLOW_SECONDS,
    GUARDRAIL_NAME,
    REVIEWED_FLOW_SECONDS,
    Agent,
    Consensus,
    Limits,
    Name,
    Process,
    Strict,
    Task,
    Text,
)
from core.errors import InvalidInputError

_NO_INPUTS = {"type": "object", "additionalProperties": False}
ALL_RULES = "broken rules are asked for afterwards"  # context of `model_validate`


# A tool of a project's own, by its module; no name on the allow-list has a dot.
PROJECT_TOOL = re.compile(r"crews\.[a-z][a-z0-9_]*\.tools\.[A-Za-z_][A-Za-z0-9_]*")


class StoredDefinitionError(ValueError):
    """The definition that a flow was launched with cannot be run by this version of the code."""


class Definition(Strict):
    """A crew: agents and tasks by name, in order, and a JSON Schema of its inputs.

    Made of a file it is checked strictly; of what a flow was launched with, by `from_stored`.
    """

    name: Name
    description: Text
    process: Process
    inputs: dict[str, Any] = Field(default_factory=lambda: dict[str, Any](_NO_INPUTS))
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    manager: Text | None = None
    consensus: Consensus | None = None
    limits: Limits = Limits()
    decides: Name | None = None  # what it learns: a name on the deployment's list

    @model_validator(mode="after")
    def _can_work(self, info: ValidationInfo) -> Self:
        """Raise the first rule that is broken, unless the context says that all are asked for."""
        if info.context != ALL_RULES:
            for broken in self.broken_rules():
                raise broken
        return self

    def broken_rules(self) -> Iterator[rules.RuleError]:
        """Yield what keeps the crew from working, although each of its fields is right."""
        yield from rules.names_are_known(self.agents, self.tasks)
        parts = (self.agents, self.tasks, self.manager, self.consensus)
        yield from rules.of_process(self.process, *parts)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Return the crew of a flow that another version of this code may have launched.

        Raises StoredDefinitionError for one that this version has no way to run.
        """
        if stored.get("process") not in get_args(Process):
            raise StoredDefinitionError(f"no process {stored.get('process')!r} in this version")
        for part in ("agents", "tasks"):
            each = stored.get(part)
            if not isinstance(each, dict) or not all(
                isinstance(fields, dict) for fields in cast("dict[str, Any]", each or {}).values()
            ):
                raise StoredDefinitionError(f"its {part} are not what this version knows as such")
        return super().from_stored(stored)

    def digest(self) -> str:
        """Return what tells this text of the crew from every other."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def time_limit_seconds(self) -> int:
        """Return how long a flow may take; where a person is asked, a month by default."""
        reviewed = any(task.human_input for task in self.tasks.values())
        default = REVIEWED_FLOW_SECONDS if reviewed else FLOW_SECONDS
        return self.limits.time_limit_seconds or default

    def with_defaults(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs with the schema's defaults. Raises InvalidInputError, naming fields."""
        defaults = {name: each["default"] for name, each in self._described() if "default" in each}
        whole = defaults | inputs
        mistakes = schemas.mistakes(self.inputs, whole)
        complaints = ((each.pointer("/inputs"), each.reason) for each in mistakes)
        wrong = InvalidInputError(f"the inputs do not fit the crew {self.name}", complaints)
        if wrong.pointers:
            raise wrong
        return whole

    def filled(self, inputs: Mapping[str, Any]) -> "FilledDefinition":
        """Return the crew as its agents are to read it: with the inputs in all its texts.

        An input that is declared and not given is `null`.
        """
        values = dict.fromkeys(self.inputs.get("properties", ()), None) | dict(inputs)
        agents = {
            name: agent.filled(partial(placeholders.fill, inputs=values))
            for name, agent in self.agents.items()
        }
        tasks = {name: _filled_task(task, values) for name, task in self.tasks.items()}
        fields: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        return FilledDefinition.model_construct(None, **fields | {"agents": agents, "tasks": tasks})

    def project_tools(self) -> set[str]:
        """Return the modules of its project that its tools are in (infra/crews/project_tools.py)."""
        parts = (*self.agents.values(), *self.tasks.values())
        named = (tool for part in parts for tool in part.tools or ())
        return {tool for tool in named if PROJECT_TOOL.fullmatch(tool)}

    def _described(self) -> list[tuple[str, dict[str, Any]]]:
        properties: dict[str, Any] = self.inputs.get("properties", {})
        return [(name, each) for name, each in properties.items() if isinstance(each, dict)]


class FilledDefinition(Definition):
    """A crew with the inputs of one flow in its texts. Filling it again changes nothing."""

    def filled(self, inputs: Mapping[str, Any]) -> "FilledDefinition":
        """Return the same: braces in an input are no placeholders."""
        del inputs
        return self


def _filled_task(task: Task, inputs: Mapping[str, Any]) -> Task:
    texts: dict[str, Any] = {
        name: placeholders.fill(getattr(task, name), inputs) for name in rules.PROMPT_TEXTS
    }
    texts["guardrails"] = [
        rule if GUARDRAIL_NAME.fullmatch(rule) else placeholders.fill(rule, inputs)
        for rule in task.guardrails
    ]
    return task.model_copy(update=texts)
