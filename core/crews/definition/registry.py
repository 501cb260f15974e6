"""Where crews are found, and how one is made of another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core import complaints
from core.crews.definition import crewai_fields, elements, rules
from core.crews.definition.crew import Definition
from core.crews.definition.rules import Place, RuleError
from core.crews.definition.yaml_file import BadYamlError, CrewFileError, YamlFile, read
from core.errors import NothingThereError

FILE = "crew.yaml"
_NAME = "must be a name: small letters, digits and _, a letter first, 64 characters at most"
_MODELS: dict[Place, type[BaseModel]] = {
    (): Definition,
    ("agents", "*"): elements.Agent,
    ("tasks", "*"): elements.Task,
    ("limits",): elements.Limits,
    ("consensus",): elements.Consensus,
}
_CREWAI_ONLY: dict[Place, Mapping[str, str]] = {
    (): crewai_fields.CREW,
    ("agents", "*"): crewai_fields.AGENT,
    ("tasks", "*"): crewai_fields.TASK,
}


@dataclass(frozen=True, slots=True)
class AllowList:
    """The names of the tools, guardrails and deciders of this deployment."""

    tools: Collection[str]
    guardrails: Collection[str]
    deciders: Collection[str] = ()


def parse(text: str, allowed: AllowList | None = None) -> Definition:
    """Read a definition from YAML. Raises CrewFileError that says where it is wrong."""
    return _definition("?", [_read("?", FILE, text)], None, allowed)


class Registry:
    """The crews of this deployment: one folder each, with a `crew.yaml`.

    A crew with `extends: NAME` is that crew with the rest of the file as a patch on it. What is
    handed out is the whole; its digest changes with either file. With `allowed`, a crew may name
    no other tools and guardrails.
    """

    def __init__(self, folder: Path, allowed: AllowList | None = None) -> None:
        self._folder = folder
        self._allowed = allowed
        self._crews: dict[str, Definition] = {}

    def names(self) -> list[str]:
        """Return the names of all crews, those with a mistake in their file included."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{FILE}"))

    def get(self, name: str) -> Definition:
        """Return the crew of this name. Raises NothingThereError, or CrewFileError if it is wrong."""
        if name not in self._crews:
            if name not in self.names():
                raise NothingThereError(f"no such crew; there are: {', '.join(self.names())}")
            files = self._files(name, heirs=())
            self._crews[name] = _definition(name, files, name, self._allowed)
        return self._crews[name]

    def read_all(self) -> tuple[list[Definition], list[CrewFileError]]:
        """Return the crews that can run, and what is wrong with the others."""
        crews, broken = list[Definition](), list[CrewFileError]()
        for name in self.names():
            try:
                crews.append(self.get(name))
            except CrewFileError as error:
                broken.append(error)
        return crews, broken

    def _files(self, name: str, heirs: tuple[str, ...]) -> list[YamlFile]:
        """Return a crew's file, then those that it extends; `heirs` extend it."""
        path = self._folder / name / FILE
        shown = f"{self._folder.name}/{name}/{FILE}"
        try:
            given = _read(name, shown, path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise CrewFileError(name, shown, None, f"cannot be read: {error}") from error
        base = _mapping(given.value).get("extends")
        if base is None:
            return [given]
        if why := self._cannot_extend(base, (*heirs, name)):
            raise CrewFileError((*heirs, name)[0], shown, given.line(("extends",))[1], why)
        return [given, *self._files(base, (*heirs, name))]

    def _cannot_extend(self, base: Any, heirs: tuple[str, ...]) -> str | None:
        """Say why the last of `heirs`, each of which extends the next, cannot extend this."""
        name, there = heirs[-1], [crew for crew in self.names() if crew not in heirs]
        if base == name:
            return f"{name} cannot extend itself: extends: names another crew"
        if base in heirs:
            return f"{name} cannot extend {base}, which extends {name}: {', '.join(heirs)} form a circle"
        if base not in there:
            meant = complaints.choice(base, there)
            return f"{name} cannot extend {base!r}: there is no such crew; {meant}"
        return None


def patched(whole: Any, patch: Any) -> Any:
    """Return `whole` with a JSON merge patch (RFC 7396) applied.

    Mappings are merged key by key, a null takes its key away, all else takes the place of what
    was there.
    """
    if not isinstance(patch, dict):
        return patch
    changes, old = _mapping(patch), _mapping(whole)
    merged = old | {key: patched(old.get(key), value) for key, value in changes.items()}
    return {key: value for key, value in merged.items() if changes.get(key, "") is not None}


def _mapping(value: Any) -> dict[str, Any]:
    """Return a copy of a mapping; of anything else, an empty one."""
    return {**cast("dict[str, Any]", value)} if isinstance(value, dict) else {}


def _read(crew: str, file: str, text: str) -> YamlFile:
    try:
        return read(text, file)
    except BadYamlError as error:
        raise CrewFileError(crew, file, error.line, str(error)) from error


def _definition(
    crew: str, files: list[YamlFile], name: str | None, allowed: AllowList | None
) -> Definition:
    """Return the crew that these files make, the first a patch on the second and so on."""
    whole = files[-1].value
    for file in reversed(files[:-1]):
        whole = patched(whole, {**_mapping(file.value), "extends": None})
    try:
        definition = Definition.model_validate(whole)
        _check(definition, name, allowed)
    except ValidationError as error:
        # A typo of a key is told before the key that is missing because of it.
        first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        place, complaint = _complaint(first, whole)
        raise _at(crew, files, place, complaint) from error
    except RuleError as error:
        raise _at(crew, files, error.place, str(error)) from error
    return definition


def _check(definition: Definition, name: str | None, allowed: AllowList | None) -> None:
    """Hold a file against what a flow that is under way is not held against. Raises RuleError."""
    if name not in (None, definition.name):
        raise RuleError(f"the name must be its folder's, {name!r}, not {definition.name!r}", "name")
    rules.schemas_are_schemas(definition.inputs, definition.tasks)
    rules.placeholders_are_inputs(definition.agents, definition.tasks, definition.inputs)
    rules.guardrails_are_told_apart(definition.tasks)
    if allowed is not None:
        rules.tools_are_allowed(definition.agents, definition.tasks, allowed.tools)
        rules.guardrails_are_allowed(definition.tasks, allowed.guardrails)
        rules.decider_is_allowed(definition.decides, allowed.deciders)


def _at(crew: str, files: list[YamlFile], place: Place, complaint: str) -> CrewFileError:
    """Return the error with the file that says most of the place, the crew's own before its base."""
    found = [(*file.line(place), file) for file in files]
    _, line, file = max(found, key=lambda each: each[0])
    shown = "/" + "/".join(map(str, place))
    return CrewFileError(
        crew, file.name, line, complaint if place == () else f"{shown}: {complaint}"
    )


def _complaint(error: ErrorDetails, whole: Any) -> tuple[Place, str]:
    """Return where a crew is wrong, and how, in our words where pydantic's are its own."""
    place = tuple(step for step in error["loc"] if step != "[key]")
    if isinstance(broken := error.get("ctx", {}).get("error"), RuleError):
        return broken.place, str(broken)
    match error["type"]:
        case "extra_forbidden":
            return place, _unknown_key(place)
        case "missing":
            return place[:-1], f"{place[-1]} is missing"
        case "string_pattern_mismatch":
            return place, _NAME
        case "model_type":
            return (
                place,
                f"must be a mapping, not {type(whole if not place else error['input']).__name__}",
            )
        case _:
            known = error["type"] in complaints.WORDS
            return place, complaints.words(error) if known else error["msg"]


def _unknown_key(place: Place) -> str:
    """Say that there is no such key, and which may have been meant."""
    *outer, key = place
    path = (outer[0], "*") if outer[:1] in (["agents"], ["tasks"]) else tuple(outer)
    if why := _CREWAI_ONLY.get(path, {}).get(str(key)):
        return why
    model = _MODELS.get(path)
    meant = f"; {complaints.choice(key, model.model_fields)}" if model else ""
    return f"there is no such key{meant}"
