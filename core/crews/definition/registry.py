"""Where a process finds the crews of its deployment: what `make crews` has made of them.

Each crew is a folder with a `compiled.json`, which is either of

    {"digest": "0f3a...", "definition": {...}}
    {"problems": [{"file": "crews/letter/crew.yaml", "line": 7, "error": "/agents/..."}]}

The second is of a crew that cannot run: it is deployed all the same, so that whoever asks for it is
told why. Nothing else of a crew is read: no YAML, and none of its code.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from core.crews.definition.crew import Definition
from core.errors import InvalidInputError, NothingThereError

FILE = "compiled.json"
_AGAIN = "was made by another version: make crews"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a crew: in which file, in which line, and how. Lines count from 1."""

    file: str
    line: int | None
    error: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{where}: {self.error}"


class CrewFileError(InvalidInputError):
    """A crew's files are wrong, in one way or several. The deployment's fault, not a caller's."""

    def __init__(self, crew: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"the crew {crew} is broken: {'; '.join(map(str, problems))}")
        self.crew, self.problems = crew, tuple(problems)


class Registry:
    """The crews of this deployment, a folder each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._crews: dict[str, Definition] = {}

    def names(self) -> list[str]:
        """Return the names of all crews, those that cannot run included."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{FILE}"))

    def get(self, name: str) -> Definition:
        """Return the crew of this name. Raises NothingThereError, or CrewFileError if it is wrong."""
        if name not in self._crews:
            if name not in self.names():
                raise NothingThereError(f"no such crew; there are: {', '.join(self.names())}")
            self._crews[name] = self._read(name)
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

    def _read(self, name: str) -> Definition:
        """Return a crew. Raises CrewFileError."""
        path = self._folder / name / FILE
        try:
            compiled = cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
            if problems := compiled.get("problems"):
                raise CrewFileError(name, [Problem(**problem) for problem in problems])
            return Definition.model_validate(compiled["definition"])
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            if isinstance(error, CrewFileError):
                raise
            shown = f"{self._folder.name}/{name}/{FILE}"
            raise CrewFileError(name, [Problem(shown, None, _AGAIN)]) from error
