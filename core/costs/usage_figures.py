"""Figures of a provider's usage object, each brought to what can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from core.costs.token_counts import MOST_TOKENS, TokenCounts

UsageObject = Mapping[str, Any]
_LONGEST_NUMBER = 12  # characters
_DEEPEST = 3  # names of a path


@dataclass(slots=True)
class Figures:
    """Figures of a usage object; `sound` until one is no count. `paths`: `a.b` is b inside of a.

    `unexplained` tokens are of a sum that is more than its parts.
    """

    usage: UsageObject
    paths: dict[str, Any]
    sound: bool = True
    unexplained: int = 0

    def first(self, *paths: str) -> int:
        """Return the first of the figures that is told and not 0, else 0."""
        for path in paths:
            if (value := self.paths.get(path)) is not None and (count := self.count(value)):
                return count
        return 0

    def count(self, value: Any) -> int:
        """Return a figure as a count, the nearest that can be."""
        if value is None:
            return 0
        number = value if type(value) is int else _whole(value)
        if number is None:
            self.sound = False
            return 0
        if 0 <= number <= MOST_TOKENS:
            return number
        self.sound = False
        return 0 if number < 0 else MOST_TOKENS


def paths_of(usage: UsageObject, before: str = "", deep: int = 1) -> dict[str, Any]:
    """Return the members of an object and of those inside of it by their paths, three names at most."""
    found = dict[str, Any]()
    for name, value in usage.items():
        path = f"{before}{name}"
        found[path] = value
        if deep < _DEEPEST and not isinstance(value, int | str) and isinstance(value, Mapping):
            found |= paths_of(cast("UsageObject", value), f"{path}.", deep + 1)
    return found


def rest(figures: Figures, whole: int, part: int) -> int:
    """Return the whole without a part of it, and not less than nothing."""
    figures.sound = figures.sound and part <= whole
    return max(0, whole - part)


def counts(
    figures: Figures, uncached: int, read: int, minutes: int, hour: int, output: int, thought: int
) -> TokenCounts:
    """Return the counts, each brought to what can be."""
    kinds = [figures.count(kind) for kind in (uncached, read, max(0, minutes), hour, output)]
    figures.sound = figures.sound and thought <= kinds[-1]
    return TokenCounts(*kinds, reasoning=min(thought, kinds[-1]))


def _whole(value: Any) -> int | None:
    """Return a whole number, also one that is written as a text or a float; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None
