"""A mutant: a copy of the scripts in which one guard is missing."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from core.adapters.upstash import calls
from tests.fixtures_ports import Flows

Story = Callable[[Flows], Awaitable[None]]


@dataclass(frozen=True)
class Mutant:
    """A script without the guard that is marked `-- guard: NAME` in it; that fails `test`.

    It fails the machine too if `any_order`. A marked line is changed in one of these ways: where it
    begins with `or` or `and`, or is a condition of several lines, that part is left out; a
    condition of its own becomes false; anything else is not done. `instead` says what stands there
    where neither will do.
    """

    script: str
    guard: str
    test: Story
    any_order: bool = True
    instead: str | None = None

    @property
    def name(self) -> str:
        return f"{self.script}: {self.guard}"

    def folder(self, at: Path) -> Path:
        folder = shutil.copytree(calls.FOLDER, at / "lua")
        path = folder / f"{self.script}.lua"
        lines = path.read_text().splitlines()
        mark = f"-- guard: {self.guard}"
        (place,) = [n for n, line in enumerate(lines) if line.endswith(mark)]
        code = lines[place].removesuffix(mark).rstrip()
        lines[place] = self.instead if self.instead is not None else without(code)
        path.write_text("\n".join(lines))
        return folder


def without(code: str) -> str:
    """Return a line of Lua without what it guards."""
    stripped = code.strip()
    if stripped.startswith(("or ", "and ")):
        return ""
    if stripped.startswith("if ") and stripped.endswith(" then"):
        return "if false then"
    if stripped.startswith("if "):  # the first condition of several
        return "if false"
    return ""
