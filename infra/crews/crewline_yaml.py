"""`crewline.yaml`: what only Crewline has, beside a project of CrewAI's.

description: Writes a letter.
inputs: {...}                  # a JSON Schema in the place of the one that is made of placeholders
limits: {time_limit_seconds: 600}
process: consensus             # with consensus: {...}
decides: form_of_letters
agents: {clerk: {tools: [look_up]}}                  # names on the allow-list, beside the agent's own
tasks: {draft: {retries: 2, output_schema: {...}, guardrails: [polite]}}
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.crews.definition import Problem
from core.crews.definition.rules import Place
from infra.crews import yaml_file
from infra.crews.source import CrewSource, SourceError, SourceFile, mapping

FILE = "crewline.yaml"
_OURS: Mapping[Place, frozenset[str]] = {
    (): frozenset({"agents", "consensus", "decides", "description", "inputs", "limits", "process", "tasks"}),
    ("agents",): frozenset({"tools"}),
    ("tasks",): frozenset(
        {"guardrails", "max_execution_time", "output_schema", "required_quality", "retries", "tools"}
    ),
}  # fmt: skip
_BESIDE = ("guardrails", "tools")  # lists that are added to


def over(crew: CrewSource, folder: Path, name: str) -> CrewSource:
    """Return a crew with what its `crewline.yaml` says, if it has one. Raises SourceError."""
    path, shown = folder / name / FILE, f"{folder.name}/{name}/{FILE}"
    if not path.is_file():
        return crew
    try:
        file = yaml_file.read(path.read_text("utf-8"), shown)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(Problem(shown, None, f"cannot be read: {error}")) from error
    said = mapping(file.value)
    problems = (*crew.problems, *_not_ours(file, crew.value))
    whole = {**crew.value, **{key: said[key] for key in said.keys() & _OURS[()]}}
    if "inputs" in said:
        whole["inputs"] = _with_defaults(said["inputs"], crew.value["inputs"])
    for part in ("agents", "tasks"):
        whole[part] = _added(crew.value[part], mapping(said.get(part)), _OURS[part,])
    return replace(crew, value=whole, files=(file, *crew.files), problems=problems)


def _added(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], known: frozenset[str]
) -> dict[str, Any]:
    """Return agents, or tasks, with what is said of them here."""
    return {name: _one(each, mapping(ours.get(name)), known) for name, each in theirs.items()}


def _one(theirs: Any, ours: Mapping[str, Any], known: frozenset[str]) -> Any:
    if not isinstance(theirs, dict):
        return theirs
    whole = mapping(theirs)
    for key in ours.keys() & known:
        lists = key in _BESIDE and isinstance(ours[key], list) and isinstance(whole.get(key), list)
        whole[key] = [*whole[key], *ours[key]] if lists else ours[key]
    return whole


def _with_defaults(schema: Any, made: Mapping[str, Any]) -> Any:
    """Return a schema with the defaults that the project has, where it has none of its own."""
    properties = mapping(mapping(schema).get("properties"))
    for name, each in mapping(made.get("properties")).items():
        if "default" in each and isinstance(properties.get(name), dict):
            properties[name] = {"default": each["default"], **properties[name]}
    return {**mapping(schema), "properties": properties} if properties else schema


def _not_ours(file: SourceFile, crew: Mapping[str, Any]) -> list[Problem]:
    """Tell what does not belong here, and whom there is not."""
    if not isinstance(file.value, dict):
        return [Problem(file.name, 1, "must be a mapping")]
    said, wrong = mapping(file.value), list[tuple[Place, str]]()
    wrong += [((key,), _elsewhere(_OURS[()])) for key in said if key not in _OURS[()]]
    for part in ("agents", "tasks"):
        if not isinstance(said.get(part, {}), dict):
            wrong.append(((part,), "must be a mapping"))
        for name, fields in mapping(said.get(part)).items():
            if not isinstance(fields, dict):
                wrong.append(((part, name), "must be a mapping"))
            if name not in crew[part]:
                wrong.append(
                    ((part, name), f"there is none in the project: {', '.join(crew[part])}")
                )
            known = _OURS[part,]
            strange = (key for key in mapping(fields) if key not in known)
            wrong += [((part, name, key), _elsewhere(known)) for key in strange]
    return [file.problem(at, why) for at, why in wrong]


def _elsewhere(known: frozenset[str]) -> str:
    return f"is CrewAI's to say, in the project's own files; here stand {', '.join(sorted(known))}"
