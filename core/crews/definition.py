"""Crews as they are written down: CrewAI's words in a YAML file, checked strictly.

A definition is data. It names tools, which must be on the allow-list of the deployment, and holds
no code, path or key; a request names a crew and never sends one. A flow carries the definition it
was launched with, so a deploy in the middle of a flow does not change it.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import InvalidInputError, NotFoundError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1)]
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agent(_Strict):
    """Who works: CrewAI's role, goal and backstory, and the tools it may use."""

    role: Text
    goal: Text
    backstory: Text
    tools: list[Name] = []
    max_iter: Annotated[int, Field(ge=1, le=50)] = 20


class Task(_Strict):
    """What is to be done. Without `context` a task is told the output of all earlier ones.

    `{name}` in a description stands for the input of that name. With an `output_schema` (JSON
    Schema) the answer must be JSON that fits it.
    """

    description: Text
    expected_output: Text
    agent: Name
    context: list[Name] | None = None
    tools: list[Name] | None = None
    output_schema: dict[str, Any] | None = None
    retries: Annotated[int, Field(ge=0, le=5)] = 0  # of a step that failed; each is paid for


class Limits(_Strict):
    """How far a flow may go before it is given up."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5  # starts of one step, kills included


class Definition(_Strict):
    """A crew: agents and tasks by name, in order, and a JSON Schema of its inputs."""

    name: Name
    description: Text
    process: Literal["sequential"]
    inputs: dict[str, Any] = {"type": "object", "additionalProperties": False}
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        earlier: set[str] = set()
        for name, task in self.tasks.items():
            _require({task.agent}, set(self.agents), f"task {name}: no such agent")
            _require(set(task.context or ()), earlier, f"task {name}: context is no earlier task")
            used = set(PLACEHOLDER.findall(task.description))
            _require(used, set(self.inputs.get("properties", {})), f"task {name}: no such input")
            earlier.add(name)
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
        pointers = {_pointer(error.absolute_path): _reason(error) for error in errors}
        if pointers:
            raise InvalidInputError(f"the inputs do not fit the crew {self.name}", pointers)
        return filled


def _require(names: set[str], known: set[str], complaint: str) -> None:
    if missing := sorted(names - known):
        raise ValueError(f"{complaint}: {', '.join(missing)}")


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


def parse(text: str) -> Definition:
    """Read a definition from YAML. Raises InvalidInputError that says where it is wrong."""
    try:
        return Definition.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InvalidInputError(f"not YAML: {error}") from error
    except ValidationError as error:
        reasons = {"/" + "/".join(map(str, e["loc"])): e["msg"] for e in error.errors()}
        raise InvalidInputError(f"not a crew: {reasons}", reasons) from error


class Registry:
    """The crews of this deployment: one folder each, with a `crew.yaml`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._crews: dict[str, Definition] = {}

    def names(self) -> list[str]:
        """Return the names of all crews."""
        return sorted(path.parent.name for path in self._folder.glob("*/crew.yaml"))

    def get(self, name: str) -> Definition:
        """Return the crew of this name. Raises NotFoundError."""
        if name not in self._crews:
            if name not in self.names():
                raise NotFoundError(f"no crew {name!r} here; there are: {', '.join(self.names())}")
            self._crews[name] = parse((self._folder / name / "crew.yaml").read_text("utf-8"))
        return self._crews[name]
