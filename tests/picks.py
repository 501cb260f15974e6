"""What of a table of cases runs in CI; the rest waits for the soak."""

from typing import Any

import pytest


def first(count: int, *cases: Any) -> list[Any]:
    """Return all cases, those after the first `count` marked as soak."""
    return [*cases[:count], *(pytest.param(case, marks=pytest.mark.soak) for case in cases[count:])]
