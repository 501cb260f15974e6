"""Compiles crews: each folder under `crews/` gets the `compiled.json` that functions read.

That file is kept with the sources, as a lock is: whatever deploys them needs no compiler, and a
review sees what a change does. `make check` fails where it has drifted.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.crews.definition import CrewFileError, Definition, Problem
from core.crews.definition.registry import FILE
from infra.crews import crew_yaml, crewai_project, layouts
from infra.crews.checking import Checked, check
from infra.crews.file_rules import AllowList
from infra.crews.source import SourceError


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of one crew, by the name of its folder."""

    name: str
    checked: Checked

    @property
    def definition(self) -> Definition | None:
        """Return the crew, if it can run."""
        return self.checked.definition

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what keeps it from running."""
        return self.checked.problems

    def text(self) -> str:
        """Return what its `compiled.json` says."""
        if self.definition is None:
            said: dict[str, Any] = {"problems": [asdict(problem) for problem in self.problems]}
        else:
            whole = self.definition.model_dump(mode="json")
            said = {"digest": self.definition.digest(), "definition": whole}
        return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def compiled(folder: Path, allowed: AllowList | None = None) -> Iterator[Compiled]:
    """Yield what becomes of each crew in a folder. One that is broken keeps no other from it."""
    for name in layouts.names(folder):
        try:
            source = layouts.source(folder, name)
        except SourceError as error:
            yield Compiled(name, Checked(None, error.problems))
            continue
        checked = check(source, name, allowed)
        if source.is_crewai and not checked.problems:
            checked = _second_opinion(checked, crewai_project.refusals(folder, name))
        yield Compiled(name, checked)


def _second_opinion(checked: Checked, refusals: tuple[Problem, ...]) -> Checked:
    return replace(checked, definition=None, problems=refusals) if refusals else checked


def compile_all(folder: Path, allowed: AllowList | None = None) -> list[Compiled]:
    """Write the `compiled.json` of each crew in a folder, and remove that of none."""
    done = list(compiled(folder, allowed))
    for path in drifted(folder, done):
        path.unlink(missing_ok=True)
    for crew in done:
        path = folder / crew.name / FILE
        if not path.exists():
            path.write_text(crew.text(), "utf-8")
    return done


def drifted(folder: Path, done: list[Compiled]) -> list[Path]:
    """Return the files that are not what they were compiled to, or not there, or of no crew."""
    wanted = {folder / crew.name / FILE: crew.text() for crew in done}
    there = {path: path.read_text("utf-8") for path in folder.glob(f"*/{FILE}")}
    return sorted(p for p in wanted.keys() | there.keys() if wanted.get(p) != there.get(p))


def parse(text: str, allowed: AllowList | None = None) -> Definition:
    """Return the crew that a `crew.yaml` of this text is. Raises CrewFileError."""
    try:
        checked = check(crew_yaml.from_text(text), None, allowed)
    except SourceError as error:
        raise CrewFileError("?", error.problems) from error
    if checked.definition is None:
        raise CrewFileError("?", checked.problems)
    return checked.definition
