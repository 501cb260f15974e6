"""A crew as `crewai create crew` makes it: `crew.jsonc`, a file for each agent in `agents/`.

What only Crewline has stands beside it in `crewline.yaml`, since CrewAI's loader refuses what it
does not know: the folder runs under `crewai run` as it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from core import complaints
from core.crews.definition import Problem
from core.crews.definition.rules import PERSONA, Place
from infra.crews import crewline_yaml, jsonc_file, project_inputs
from infra.crews.project_tools import ProjectTools
from infra.crews.source import CrewSource, SourceError, SourceFile, mapping, rekeyed

ENDINGS = (".jsonc", ".json")  # in the order in which CrewAI looks
# What says how CrewAI's own process shows or keeps what happens: the log of a flow has all of it.
_OF_THE_TERMINAL = frozenset(
    {"cache", "output_log_file", "share_crew", "stream", "tracing", "verbose"}
)
_MEMORY = (
    "memory is left out: an agent is told the answers of earlier tasks, and nothing of other flows"
)
_LLM = "{} is left out: CREWLINE_MODEL chooses the model"


def is_one(root: Path) -> bool:
    """Tell whether a folder is such a project."""
    return _path(root / "crew") is not None


def source(folder: Path, name: str) -> CrewSource:
    """Return what the files of a project say, in the words of `Definition`. Raises SourceError."""
    project = _Project(folder / name, f"{folder.name}/{name}")
    crew = project.read("crew")
    fields, agents = mapping(crew.value), [*project.agents(crew)]
    names = {each.name: _key(each.name) for each in agents}
    tasks = _Tasks(project, crew, names)
    whole: dict[str, Any] = {
        "name": name,
        "description": f"CrewAI's crew {fields.get('name', name)}.",
        "process": fields.get("process", "sequential"),
        **_rest(
            project, "Crew", fields, crew.name, ("agents", "inputs", "name", "process", "tasks")
        ),
        "agents": {names[each.name]: project.agent(each) for each in agents},
        "tasks": tasks.by_name,
    }
    if isinstance(manager := whole.get("manager_agent"), str):
        del whole["manager_agent"]
        whole["manager"] = names.get(manager, manager)
    defaults = mapping(fields.get("inputs"))
    whole["inputs"] = project_inputs.schema_of(whole, defaults)
    files = [tasks.file, *(rekeyed(each.file, _agent_place(names[each.name])) for each in agents)]
    project.notes += project_inputs.likely_typos(whole, files[0].name, defaults)
    wrong = (
        *project.problems,
        *project.tools.problems,
        *project_inputs.doubled_braces(whole, files),
    )
    own = frozenset(project.tools.addresses)
    made = CrewSource(whole, tuple(files), wrong, tuple(project.notes), own, is_crewai=True)
    return crewline_yaml.over(made, folder, name)


def refusals(folder: Path, name: str) -> tuple[Problem, ...]:
    """Return why CrewAI itself would not load a project. It runs none of the project's code."""
    from crewai.project.json_loader import (  # noqa: PLC0415
        JSONProjectValidationError,
        validate_crew_project,
    )

    path = _path(folder / name / "crew")
    assert path is not None  # noqa: S101 -- only a project is asked about
    try:
        validate_crew_project(path)
    except JSONProjectValidationError as error:
        said = (each.replace(f"{folder.absolute()}/", f"{folder.name}/") for each in error.errors)
        said = (each.replace(f"{folder}/", f"{folder.name}/") for each in said)
        shown = f"{folder.name}/{name}/{path.name}"
        return tuple(Problem(shown, None, f"CrewAI refuses it: {each}") for each in said)
    return ()


@dataclass(frozen=True, slots=True)
class _AgentFile:
    name: str
    file: SourceFile


@dataclass(slots=True)
class _Project:
    """The folder of a project, as it is read: what is wrong with it, and what is to be noted."""

    root: Path
    shown: str  # how the folder is named to people
    problems: list[Problem] = field(default_factory=list[Problem])
    notes: list[Problem] = field(default_factory=list[Problem])
    tools: ProjectTools = field(init=False)

    def __post_init__(self) -> None:
        self.tools = ProjectTools(self.root, self.shown)

    def read(self, stem: str) -> SourceFile:
        """Read a file of the project. Raises SourceError."""
        path = _path(self.root / stem)
        if path is None:
            raise SourceError(Problem(f"{self.shown}/{stem}.jsonc", None, "there is no such file"))
        shown = f"{self.shown}/{path.relative_to(self.root)}"
        try:
            return jsonc_file.read(path.read_text("utf-8"), shown)
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(Problem(shown, None, f"cannot be read: {error}")) from error

    def agents(self, crew: SourceFile) -> Iterator[_AgentFile]:
        """Yield the agents that the crew names, its manager last. Those that are not there are told."""
        fields = mapping(crew.value)
        listed: Any = fields.get("agents")
        if not isinstance(listed, list) or not listed:
            self.problems.append(crew.problem(("agents",), "must be a list of names"))
            return
        named: list[tuple[Place, Any]] = [
            (("agents", n), each) for n, each in enumerate(cast("list[Any]", listed))
        ]
        manager = fields.get("manager_agent")
        if isinstance(manager, str) and manager not in listed:
            named.append((("manager_agent",), manager))
        for place, name in named:
            yield _AgentFile(str(name), self._agent_file(crew, place, name))

    def _agent_file(self, crew: SourceFile, place: Place, name: Any) -> SourceFile:
        """Return an agent's file; of one that cannot be read, one that says nothing more of it."""
        ends = (path for end in ENDINGS for path in (self.root / "agents").glob(f"*{end}"))
        there = sorted({path.stem for path in ends})
        try:
            if name in there:
                return self.read(f"agents/{name}")
            why = f"there is no agents/{name}.jsonc; {complaints.choice(name, there)}"
            self.problems.append(crew.problem(place, why))
        except SourceError as error:
            self.problems += error.problems
        return SourceFile(crew.name, dict.fromkeys(PERSONA, "-"), {})

    def agent(self, agent: _AgentFile) -> dict[str, Any]:
        """Return the fields of an agent; those in its `settings` are its own."""
        fields = mapping(agent.file.value)
        whole = fields | mapping(fields.get("settings"))
        if isinstance(fields.get("settings"), dict):
            del whole["settings"]
        if whole.get("type") in ("agent", "Agent", "crewai.Agent"):
            del whole["type"]
        return {"max_iter": _default("Agent", "max_iter")} | _rest(
            self, "Agent", whole, agent.file.name
        )


@dataclass(slots=True)
class _Tasks:
    """The tasks of a crew by name, and its file with their places as they are by name."""

    project: _Project
    crew: SourceFile
    agents: Mapping[str, str]
    by_name: dict[str, Any] = field(default_factory=dict[str, Any])
    file: SourceFile = field(init=False)

    def __post_init__(self) -> None:
        names: dict[int, str] = {}
        listed: Any = mapping(self.crew.value).get("tasks")
        for number, task in enumerate(
            cast("list[Any]", listed) if isinstance(listed, list) else []
        ):
            names[number] = self._add(number, task)
        self.file = rekeyed(self.crew, lambda place: _task_place(place, names))

    def _add(self, number: int, task: Any) -> str:
        name = _key(str(mapping(task).get("name") or f"task_{number + 1}"))
        if name in self.by_name:
            line = self.crew.line(("tasks", number, "name"))[1]
            self.project.problems.append(
                Problem(
                    self.crew.name, line, f"/tasks/{number}/name: there is a task {name} already"
                )
            )
        self.by_name[name] = self._task(task) if isinstance(task, dict) else task
        return name

    def _task(self, task: dict[str, Any]) -> dict[str, Any]:
        fields = _rest(self.project, "Task", task, self.crew.name, ("name",))
        if fields.get("type") in ("task", "Task", "crewai.Task"):
            del fields["type"]
        if fields.get("async_execution") is True:
            fields.setdefault("context", [])  # CrewAI tells it nothing, where others are told all
        if isinstance(agent := fields.get("agent"), str):
            fields["agent"] = self.agents.get(agent, agent)
        if isinstance(context := fields.get("context"), list):
            fields["context"] = [_key(str(each)) for each in cast("list[Any]", context)]
        if isinstance(rule := fields.get("guardrail"), str):
            del fields["guardrail"]
            fields["guardrails"] = [*fields.get("guardrails", ()), rule]
        return fields


def _rest(
    project: _Project,
    kind: str,
    fields: Mapping[str, Any],
    file: str,
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the fields that say something; what is left out with a word is noted."""
    said: dict[str, Any] = {}
    for name, value in fields.items():
        if name in without or name in _OF_THE_TERMINAL or _says_nothing(kind, name, value):
            continue
        if name == "memory" or (name == "llm" and value):
            why = _MEMORY if name == "memory" else _LLM.format(name)
            project.notes.append(Problem(file, None, why))
            continue
        said[name] = value
    return project.tools.resolved(said)


def _says_nothing(kind: str, name: str, value: Any) -> bool:
    """Tell whether a field is as if it were not there."""
    if value is None or (value in ([], {}) and name not in ("context", "agents", "tasks")):
        return True
    return name not in ("max_iter", "agents", "tasks") and value == _default(kind, name)


def _default(kind: str, name: str) -> Any:
    """Return what CrewAI takes where a field is not there; its class where there is no such field."""
    import crewai  # noqa: PLC0415 -- seconds, for those who have such a project

    model = getattr(crewai, kind)
    known = model.model_fields.get(name)
    return model if known is None else known.get_default()


def _path(stem: Path) -> Path | None:
    return next((p for end in ENDINGS if (p := stem.with_name(stem.name + end)).is_file()), None)


def _key(name: str) -> str:
    """Return a name as ours are: CrewAI takes any text."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or name


def _agent_place(name: str) -> Any:
    def place(inner: Place) -> Place:
        return ("agents", name, *(inner[1:] if inner[:1] == ("settings",) else inner))

    return place


def _task_place(place: Place, names: Mapping[int, str]) -> Place:
    match place:
        case ("tasks", int(number), *rest) if number in names:
            return ("tasks", names[number], *rest)
        case ("inputs", str(name), *rest):
            return ("inputs", "properties", name, "default", *rest)
        case ("manager_agent", *rest):
            return ("manager", *rest)
        case _:
            return place
