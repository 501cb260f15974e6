"""Checks of JSON that is to be what we once wrote: each raises ValueError where it is something else."""

import math
from typing import Any, cast


def need(holds: bool) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError("not what was written")


def members(value: Any, names: set[str]) -> dict[str, Any]:
    """Return an object that has just these members."""
    found = by_text(value)
    need(set(found) == names)
    return found


def by_text(value: Any) -> dict[str, Any]:
    """Return an object; JSON's have texts as names."""
    need(isinstance(value, dict))
    return value


def items(value: Any) -> list[Any]:
    """Return a list."""
    need(isinstance(value, list))
    return value


def texts(value: Any) -> list[str]:
    """Return a list of texts."""
    need(all(type(one) is str for one in items(value)))
    return value


def numbers(value: Any, how_many: int | None = None) -> list[float]:
    """Return a list of finite numbers."""
    found = items(value)
    need(all(type(one) in (int, float) and math.isfinite(one) for one in found))
    need(how_many is None or len(found) == how_many)
    return found


def whole(value: Any) -> int:
    """Return a whole number from 0 to what a double holds exactly."""
    need(type(value) is int and 0 <= value < 2**53)
    return cast("int", value)


def text(value: Any) -> str:
    """Return a text."""
    need(isinstance(value, str))
    return value
