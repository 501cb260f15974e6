"""Tools of a project's own: `custom:seek` is the tool in its `tools/seek.py`, as CrewAI finds it.

A crew names the module, `crews.letters.tools.seek`: its name is one of the deployment, whatever other
projects call theirs. None is run here; a worker loads those that compiled crews name.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from core import complaints
from core.crews.definition import Problem

CUSTOM = "custom:"
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class ProjectTools:
    """The tools of one project: which its agents and tasks name, and what is wrong with them."""

    root: Path
    shown: str  # how the folder is named to people
    addresses: set[str] = field(default_factory=set[str])
    problems: list[Problem] = field(default_factory=list[Problem])

    def resolved(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return an agent's or a task's fields with its custom tools by their addresses."""
        tools = fields.get("tools")
        if not isinstance(tools, list):
            return {**fields}
        return {**fields, "tools": [self._address(each) for each in cast("list[Any]", tools)]}

    def _address(self, tool: Any) -> Any:
        if not isinstance(tool, str) or not tool.startswith(CUSTOM):
            return tool
        name = tool.removeprefix(CUSTOM)
        there = sorted(path.stem for path in (self.root / "tools").glob("*.py"))
        address = f"crews.{self.root.name}.tools.{name}"
        if not _MODULE.fullmatch(name) or name not in there:
            why = f"there is no such file for {tool}; {complaints.choice(name, there)}"
            self._told(name, None, why)
        elif address not in self.addresses:
            self._look(name)
        self.addresses.add(address)
        return address

    def _look(self, name: str) -> None:
        """Tell what can be seen of a tool's file without running it."""
        try:
            tree = ast.parse((self.root / "tools" / f"{name}.py").read_text("utf-8"))
        except (OSError, ValueError, SyntaxError) as error:
            line = error.lineno if isinstance(error, SyntaxError) else None
            self._told(name, line, f"is no Python: {error}")
            return
        if not any(isinstance(each, (ast.ClassDef, ast.ImportFrom)) for each in tree.body):
            why = "has no class that inherits from crewai.tools.BaseTool, which CrewAI looks for"
            self._told(name, None, why)

    def _told(self, name: str, line: int | None, why: str) -> None:
        self.problems.append(Problem(f"{self.shown}/tools/{name}.py", line, why))
