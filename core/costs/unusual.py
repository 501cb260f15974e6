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
from datetime import date

from core.costs.forecast import HISTORY_DAYS, is_weekend, whole_days

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


def unusual_days(
    costs: Mapping[date, int], parts: Mapping[date, Mapping[str, int]], today: date
) -> list[Unusual]:
    """Return the unusual days before today, in order.

    `costs` are nano-dollars by day; `parts` the same, parted by one dimension, e.g. by crew.
    """
    days = whole_days(costs, today)
    total = sum(cost for _, cost in days)
    found: list[Unusual] = []
    for at, (day, cost) in enumerate(days):
        before = _alike(days[max(0, at - HISTORY_DAYS) : at], day)
        if len(before) < LEAST_OF_A_KIND or at < LEAST_BEFORE:
            continue
        usual = statistics.median(cost for _, cost in before)
        if (
            cost - usual >= LEAST_SHARE * total
            and _score(cost, [c for _, c in before]) > MOST_USUAL
        ):
            found.append(_with_part(day, cost, round(usual), [d for d, _ in before], parts))
    return found


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
