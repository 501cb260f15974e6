"""Makes a project of CrewAI's of a crew that is one `crew.yaml`: `python -m infra.crews.convert NAME ...`.

What it extends is written out. The `crew.yaml` goes only if the project is the same crew, by its digest.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.crews.definition import GUARDRAIL_NAME, Definition
from core.crews.strategies.task_order import places
from infra.crews import crew_yaml, crewai_project, crewline_yaml
from infra.crews.__main__ import FOLDER
from infra.crews.allow_lists import ALLOWED
from infra.crews.checking import check
from infra.crews.file_rules import AllowList
from infra.crews.source import SourceError

_OF_AGENTS = ("role", "goal", "backstory", "max_iter", "max_rpm")
_OF_TASKS = ("description", "expected_output", "agent", "human_input")
_OURS = ("max_execution_time", "output_schema", "required_quality", "retries", "tools")
Files = dict[str, str]  # texts by their path in the project


class NotConvertibleError(Exception):
    """A crew says what no project can say, or is broken; the message says what."""


def convert(folder: Path, name: str, allowed: AllowList | None = None) -> Path:
    """Put a project in the place of a crew's `crew.yaml`; return its folder. Raises NotConvertibleError."""
    try:
        checked = check(crew_yaml.source(folder, name), name, allowed)
    except SourceError as error:
        raise NotConvertibleError(str(error)) from error
    if (crew := checked.definition) is None:
        raise NotConvertibleError("; ".join(map(str, checked.problems)))
    if heirs := _heirs(folder, name):
        raise NotConvertibleError(f"{', '.join(heirs)} extends {name}: convert that first")
    files = project_of(crew)
    _is_the_same(crew, files, allowed)
    _write(folder / name, files)
    (folder / name / crew_yaml.FILE).unlink()
    return folder / name


def project_of(crew: Definition) -> Files:
    """Return the files of a project that is this crew."""
    made = {"crew.jsonc": _json(_crew(crew)), crewline_yaml.FILE: _yaml(_ours(crew))}
    agents = {name: _said(agent.model_dump(), _OF_AGENTS) for name, agent in crew.agents.items()}
    return made | {f"agents/{name}.jsonc": _json(fields) for name, fields in agents.items()}


def _crew(crew: Definition) -> dict[str, Any]:
    managed = {} if crew.manager is None else {"manager_agent": crew.manager}
    return {
        "name": crew.name,
        "agents": [name for name in crew.agents if name != crew.manager],
        "tasks": [_task(crew, name) for name in crew.tasks],
        "process": "sequential" if crew.process == "consensus" else crew.process,
        **managed,
        "inputs": _defaults(crew),
    }


def _task(crew: Definition, name: str) -> dict[str, Any]:
    task = crew.tasks[name]
    said = {"name": name, **_said(task.model_dump(exclude_defaults=True), _OF_TASKS)}
    if task.async_execution:
        said |= {"async_execution": True, "context": [*places(crew)[name].context]}
    elif task.context is not None:
        said["context"] = task.context
    if task.guardrails and not _has_names(task.guardrails):
        said["guardrails"] = task.guardrails
    return said


def _ours(crew: Definition) -> dict[str, Any]:
    """Return what `crewline.yaml` says."""
    whole = crew.model_dump(mode="json", exclude_defaults=True)
    said = _said(whole, ("description", "consensus", "limits", "decides"))
    said |= {"process": crew.process} if crew.process == "consensus" else {}
    properties = {
        name: {key: value for key, value in each.items() if key != "default"} if isinstance(each, dict) else each
        for name, each in crew.inputs.get("properties", {}).items()
    }  # fmt: skip
    said["inputs"] = crew.inputs | ({"properties": properties} if properties else {})
    tools = {name: {"tools": agent.tools} for name, agent in crew.agents.items() if agent.tools}
    tasks = {name: _task_of_ours(task) for name, task in whole["tasks"].items()}
    told = {name: fields for name, fields in tasks.items() if fields}
    return said | ({"agents": tools} if tools else {}) | ({"tasks": told} if told else {})


def _task_of_ours(task: Mapping[str, Any]) -> dict[str, Any]:
    guardrails = task.get("guardrails", ())
    checked = {"guardrails": guardrails} if _has_names(guardrails) else {}
    return _said(task, _OURS) | checked


def _has_names(guardrails: Any) -> bool:
    """Tell whether any is a name on the allow-list: then all stand together, in their order."""
    return any(GUARDRAIL_NAME.fullmatch(rule) for rule in guardrails)


def _defaults(crew: Definition) -> dict[str, Any]:
    properties: dict[str, Any] = crew.inputs.get("properties", {})
    described = {name: each for name, each in properties.items() if isinstance(each, dict)}
    return {name: each["default"] for name, each in described.items() if "default" in each}


def _said(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def _heirs(folder: Path, name: str) -> list[str]:
    """Return the crews that are patches on this one."""
    others = (each for each in crew_yaml.names(folder) if each != name)
    return [each for each in others if crew_yaml.base_of(folder, each) == name]


def _is_the_same(crew: Definition, files: Files, allowed: AllowList | None) -> None:
    """Raise NotConvertibleError unless the files make this very crew."""
    with tempfile.TemporaryDirectory() as scratch:
        _write(Path(scratch) / crew.name, files)
        made = check(crewai_project.source(Path(scratch), crew.name), crew.name, allowed)
    if made.definition is None:
        raise NotConvertibleError("; ".join(problem.error for problem in made.problems))
    if _digest(made.definition) != _digest(crew):
        raise NotConvertibleError("a project cannot say the same")


def _digest(crew: Definition) -> str:
    """Return the digest of a crew whose tasks beside others say what they are told, as they would be."""
    told = {name: [*place.context] for name, place in places(crew).items()}
    tasks = {
        name: task.model_copy(update={"context": told[name]}) if task.async_execution else task
        for name, task in crew.tasks.items()
    }
    return crew.model_copy(update={"tasks": tasks}).digest()


def _write(root: Path, files: Files) -> None:
    shutil.rmtree(root / "agents", ignore_errors=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


def main() -> int:
    """Convert the crews of the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.crews.convert", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="a crew that is a crew.yaml")
    wrong = 0
    for name in parser.parse_args().names:
        try:
            print(f"{convert(FOLDER, name, ALLOWED)} is a project of CrewAI's now: make crews")
        except NotConvertibleError as error:
            print(f"crewline: {name} stays as it is: {error}", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
