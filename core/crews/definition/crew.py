"""The definition of a crew, and what makes one that can work."""

import hashlib
import json
from typing import Annotated, Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import Field, model_validator

from core.crews.definition import rules
from core.crews.definition.words import (
    PLACEHOLDER,
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


class Definition(Strict):
    """A crew: agents and tasks by name, in order, and a JSON Schema of its inputs."""

    name: Name
    description: Text
    process: Process
    inputs: dict[str, Any] = Field(default_factory=lambda: dict[str, Any](_NO_INPUTS))
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    manager: Name | None = None
    consensus: Consensus | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        earlier: set[str] = set()
        for name, task in self.tasks.items():
            rules.known({task.agent} - {None}, set(self.agents), f"task {name}: no such agent")
            rules.known(
                set(task.context or ()), earlier, f"task {name}: context is no earlier task"
            )
            used = set(PLACEHOLDER.findall(task.description))
            inputs = set(self.inputs.get("properties", {}))
            rules.known(used, inputs, f"task {name}: no such input")
            earlier.add(name)
        return self

    @model_validator(mode="after")
    def _process_has_its_parts(self) -> Self:
        rules.belongs_to(self.process, manager=self.manager, consensus=self.consensus)
        match self.process:
            case "sequential":
                rules.sequential(self.tasks)
            case "hierarchical":
                rules.hierarchical(self.agents, self.tasks, self.manager)
            case "consensus":
                rules.consensus(self.agents, self.tasks, self.consensus)
        return self

    @model_validator(mode="after")
    def _schemas_are_schemas(self) -> Self:
        schemas = [self.inputs, *(task.output_schema for task in self.tasks.values())]
        for schema in schemas:
            try:
                Draft202012Validator.check_schema(schema or {})
            except SchemaError as error:
                raise ValueError(f"not a JSON Schema: {error.message}") from error
        return self

    def digest(self) -> str:
        """Return what tells this text of the crew from every other."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fill(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs with the schema's defaults. Raises InvalidInputError, naming fields."""
        properties: dict[str, Any] = self.inputs.get("properties", {})
        defaults = {name: p["default"] for name, p in properties.items() if "default" in p}
        filled = defaults | inputs
        validator: Any = Draft202012Validator(self.inputs)
        errors = validator.iter_errors(filled)
        complaints = ((_pointer(error.absolute_path), _reason(error)) for error in errors)
        wrong = InvalidInputError(f"the inputs do not fit the crew {self.name}", complaints)
        if wrong.pointers:
            raise wrong
        return filled


def _pointer(path: Any) -> str:
    return "/inputs" + "".join(f"/{part}" for part in path)


def _reason(error: Any) -> str:
    """Say which rule was broken; the offending value is not repeated."""
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"required: {', '.join(missing)}"
    if error.validator == "additionalProperties":
        return f"no other inputs than: {', '.join(error.schema.get('properties', {}))}"
    return f"must fit {error.validator}: {json.dumps(error.validator_value)[:200]}"
