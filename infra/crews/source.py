"""What the files of a crew say, and in which line of which file each value stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from core.crews.definition import Problem
from core.crews.definition.rules import Place


class SourceError(Exception):
    """A crew's files cannot be read as such, so nothing more can be said of it than these problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: what it says, and the line of each value by its place. Lines count from 1."""

    name: str
    value: Any
    lines: dict[Place, int]
    problems: tuple[Problem, ...] = ()  # that leave the rest of the file to be checked

    def line(self, place: Place) -> tuple[int, int]:
        """Return how many keys of the place are in this file, and the line of the last of them."""
        known = next(n for n in range(len(place), -1, -1) if n == 0 or place[:n] in self.lines)
        return known, self.lines.get(place[:known], 1)

    def problem(self, place: Place, complaint: str) -> Problem:
        """Return what is wrong at a place of this file."""
        return Problem(self.name, self.line(place)[1], f"{pointer(place)}: {complaint}")


@dataclass(frozen=True, slots=True)
class CrewSource:
    """A crew as its files make it: one mapping, in the words of `Definition`.

    Of two files that say as much of a place, the first in `files` is the one that counts.
    """

    value: Any
    files: tuple[SourceFile, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()  # what is left out, and keeps nothing from running
    own_tools: frozenset[str] = frozenset()  # addresses of the project's own
    is_crewai: bool = False  # a project of CrewAI's, which is to run as it is

    def problem(self, place: Place, complaint: str) -> Problem:
        """Return what is wrong at a place, with the file that says most of it."""
        found = [(*file.line(place), file.name) for file in self.files]
        _, line, name = max(found, key=lambda each: each[0])
        return Problem(name, line, f"{pointer(place)}: {complaint}" if place else complaint)

    def all_problems(self) -> Iterator[Problem]:
        """Yield what was wrong already when the files were read."""
        yield from self.problems
        for file in self.files:
            yield from file.problems


def rekeyed(file: SourceFile, place: Callable[[Place], Place]) -> SourceFile:
    """Return a file whose values have other places in the crew than in itself."""
    lines: dict[Place, int] = {}
    for each, line in file.lines.items():
        lines.setdefault(place(each), line)
    return replace(file, lines=lines)


def pointer(place: Place) -> str:
    """Return a place as people read it: `/tasks/draft/agent`."""
    return "/" + "/".join(map(str, place))


def mapping(value: Any) -> dict[str, Any]:
    """Return a copy of a mapping; of anything else, an empty one."""
    return {**cast("dict[str, Any]", value)} if isinstance(value, dict) else {}
