"""Numbers as people write them: 1,234.5 and 1.234,5 and 64,11438660967.

One cell may read both ways ("24,348"), a column seldom does, so a column counts both readings
and keeps the one that explains more cells. A tie goes to the decimal point.
"""

import re
from dataclasses import dataclass, field

_POINT = re.compile(r"[+-]?(\d{1,3}([,' \u00a0]\d{3})+|\d+)?(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?(\d{1,3}([.' \u00a0]\d{3})+|\d+)?(,\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_GROUPING = str.maketrans("", "", "' \u00a0")


def with_point(text: str) -> float | None:
    """1,234.5 -> 1234.5; None for what is no number written so."""
    return _number(text.replace(",", "")) if _POINT.fullmatch(text) else None


def with_comma(text: str) -> float | None:
    """1.234,5 -> 1234.5; None for what is no number written so."""
    return _number(text.replace(".", "").replace(",", ".")) if _COMMA.fullmatch(text) else None


def _number(text: str) -> float | None:
    try:
        return float(text.translate(_GROUPING))
    except ValueError:
        return None


@dataclass
class Reading:
    """What one way of reading numbers made of a column so far."""

    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    integers: bool = True

    def add(self, number: float | None) -> None:
        if number is not None and abs(number) != float("inf"):
            self.count += 1
            self.low = min(self.low, number)
            self.high = max(self.high, number)
            self.integers = self.integers and number.is_integer()


@dataclass
class Numbers:
    """Both readings of a column, fed cell by cell."""

    point: Reading = field(default_factory=Reading)
    comma: Reading = field(default_factory=Reading)

    def add(self, cell: str) -> None:
        self.point.add(with_point(cell))
        self.comma.add(with_comma(cell))

    @property
    def best(self) -> Reading:
        return self.comma if self.comma.count > self.point.count else self.point
