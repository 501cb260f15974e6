"""Forecast: what a window will have cost at its end, with an interval, from what its days cost so far.

Each day to come costs what the days of the last four weeks cost on average, working days and weekends
apart. The interval is the usual one for a sum of n days of which m like them were seen (a prediction
interval of Student's t): it is as wide as the days differ, grows with n, and with little history grows
more. A trend is followed only as fast as old days leave those weeks.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

HISTORY_DAYS = 28
LEAST_DAYS = 3  # whole days, with fewer there is no forecast
LEAST_OF_A_KIND = 3  # weekend days, or working days; with fewer all days count as alike
INSIDE = 0.9  # of the windows end within the interval
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Forecast:
    """Nano-dollars at the end of a window: most likely, and between which nine of ten times."""

    nanodollars: int
    low: int
    high: int


def forecast(
    costs: Mapping[date, int], today: date, first: date, last: date, *, share_of_today: float = 0.0
) -> Forecast | None:
    """Return what the days from `first` to `last` will cost in all; None with too little to go by.

    `costs` are nano-dollars by day, also from before the window; a day that is missing between the
    first one and yesterday cost nothing. Of today, `share_of_today` (0 to 1) is over; what it has
    cost so far is in `costs`.
    """
    past = whole_days(costs, today)[-HISTORY_DAYS:]
    if len(past) < LEAST_DAYS:
        return None
    spent = sum(cost for day, cost in costs.items() if first <= day <= min(today, last))
    days = _days(max(today, first), last)
    left = {day: 1 - share_of_today if day == today else 1.0 for day in days}
    mean, variance = float(spent), 0.0
    for weekend in (False, True):
        seen = _of_kind(past, weekend)
        n, m = sum(share for day, share in left.items() if is_weekend(day) == weekend), len(seen)
        mean += n * statistics.fmean(seen)
        variance += statistics.variance(seen) * (n + n * n / m)
    half = _student(len(past) - 1) * math.sqrt(variance)
    return Forecast(round(mean), round(max(spent, mean - half)), round(mean + half))


def _student(freedom: int) -> float:
    """Return the quantile of Student's t that leaves half of the rest above it.

    From the normal one, by Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = statistics.NormalDist().inv_cdf((1 + INSIDE) / 2)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def whole_days(costs: Mapping[date, int], today: date) -> list[tuple[date, int]]:
    """Return all days from the first that cost anything to yesterday, with what they cost."""
    begun = min((day for day, cost in costs.items() if cost > 0), default=today)
    return [(day, costs.get(day, 0)) for day in _days(begun, today - timedelta(days=1))]


def is_weekend(day: date) -> bool:
    """Tell Saturdays and Sundays."""
    return day.weekday() >= SATURDAY


def _of_kind(past: Sequence[tuple[date, int]], weekend: bool) -> list[int]:
    alike = [cost for day, cost in past if is_weekend(day) == weekend]
    return alike if len(alike) >= LEAST_OF_A_KIND else [cost for _, cost in past]


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
