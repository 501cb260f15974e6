"""Unusual days: days that cost far more than the days before them, and what made them so.

A day is compared with up to 28 days before it, working days with working days and weekends with
weekends where there are enough. It is unusual if the modified z-score of its cost, on a logarithmic
scale since costs multiply, is above 3.5 (Iglewicz and Hoaglin, How to Detect and Handle Outliers,
1993): median and median absolute deviation, so earlier unusual days hide no later one.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from core.costs.forecast import HISTORY_DAYS, is_weekend

LEAST_BEFORE = 7  # days, to call another unusual
LEAST_OF_A_KIND = 4
MOST_USUAL = 3.5  # of the modified z-score
NORMAL = 0.6745  # the median absolute deviation of a normal distribution, in standard deviations
LEAST_SPREAD = math.log(1.1)  # days that differ by less than a tenth are alike
LEAST_SHARE = 0.01  # of all that the days cost: below it nobody needs to look


@dataclass(frozen=True, slots=True)
class Unusual:
    """A day that cost more than usual (nano-dollars), and which part of it grew most.

    `part` is a name among those that the day was parted by, with what it cost and usually does.
    """

    day: date
    nanodollars: int
    usual: int
    part: str | None = None
    part_nanodollars: int = 0
    part_usual: int = 0


class Watch:
    """Looks at days in order. What a day is made of is known for as long as others are compared with it."""

    def __init__(self) -> None:
        self._days: list[tuple[date, int]] = []
        self._parts: dict[date, Mapping[str, int]] = {}
        self._found: list[Unusual] = []

    def see(self, day: date, cost: int, parts: Mapping[str, int]) -> None:
        """See the day after the last; `parts` are its nano-dollars by names of a dimension, e.g. by crew.

        Days before the first that cost anything are none.
        """
        if not self._days and cost <= 0:
            return
        before = self._days[-HISTORY_DAYS:]
        self._days.append((day, cost))
        self._parts[day] = parts
        if len(before) == HISTORY_DAYS:
            self._parts.pop(before[0][0] - timedelta(days=1), None)
        alike = _alike(before, day)
        if len(before) < LEAST_BEFORE or len(alike) < LEAST_OF_A_KIND:
            return
        costs = [cost for _, cost in alike]
        usual = statistics.median(costs)
        if cost > usual and _score(cost, costs) > MOST_USUAL:
            days = [day for day, _ in alike]
            self._found.append(_with_part(day, cost, round(usual), days, self._parts))

    def found(self) -> list[Unusual]:
        """Return the unusual days, in order, that matter among all that were seen."""
        least = LEAST_SHARE * sum(cost for _, cost in self._days)
        return [each for each in self._found if each.nanodollars - each.usual >= least]


def _alike(before: Sequence[tuple[date, int]], day: date) -> Sequence[tuple[date, int]]:
    alike = [each for each in before if is_weekend(each[0]) == is_weekend(day)]
    return alike if len(alike) >= LEAST_OF_A_KIND else before


def _score(cost: int, before: Sequence[int]) -> float:
    logs = [math.log1p(each) for each in before]
    middle = statistics.median(logs)
    spread = statistics.median(abs(each - middle) for each in logs)
    return NORMAL * (math.log1p(cost) - middle) / max(spread, NORMAL * LEAST_SPREAD)


def _with_part(
    day: date,
    cost: int,
    usual: int,
    before: Sequence[date],
    parts: Mapping[date, Mapping[str, int]],
) -> Unusual:
    grown: list[tuple[int, str, int]] = []
    for name, now in parts.get(day, {}).items():
        part_usual = round(statistics.median(parts.get(d, {}).get(name, 0) for d in before))
        grown.append((now - part_usual, name, part_usual))
    if not grown:
        return Unusual(day, cost, usual)
    # Of those that grew alike, the one that cost least before tells most.
    more, name, part_usual = max(grown, key=lambda part: (part[0], -part[2]))
    return Unusual(day, cost, usual, name, more + part_usual, part_usual)
