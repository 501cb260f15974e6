"""Reports: what was spent in a range of days, grouped by any of the roll-up's dimensions.

A report is made of cells, of which a day has a bounded number, so it costs as much for a million
calls as for ten thousand. Money is in nano-dollars.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add
from typing import Any

from core.costs.forecast import HISTORY_DAYS, Forecast, forecast
from core.costs.rollup import DAY_MS, Cell
from core.costs.unusual import Unusual, unusual_days
from core.costs.usage import Usage
from core.errors import InvalidInputError

MOST_DAYS, MOST_HOUR_DAYS = 400, 31
KEPT_DAYS = 400
USUAL_DAYS = HISTORY_DAYS  # read before the range, for what is usual

DIMENSIONS: Mapping[str, Callable[[Cell], str]] = {
    "day": lambda cell: cell.day,
    "hour": lambda cell: f"{cell.day}T{cell.hour or 0:02}:00:00Z",
    "crew": lambda cell: cell.crew,
    "task": lambda cell: cell.task,
    "agent": lambda cell: cell.agent,
    "subject": lambda cell: cell.subject,
    "model": lambda cell: cell.model,
}
FLOW = "flow"  # stands alone, and is not of the roll-up (core/costs/flow_costs.py)
PARTS = ("model", "crew", "task", "agent", "subject")  # by which an unusual day is explained


@dataclass(frozen=True, slots=True)
class Query:
    """Which days are asked for, both ends included (UTC), and by what they are to be grouped."""

    first: date
    last: date
    group_by: tuple[str, ...] = ()

    @property
    def by_hour(self) -> bool:
        return "hour" in self.group_by

    def days(self, today: date) -> list[str]:
        """Return the days to read that have begun."""
        last = min(self.last, today)
        return _named(self.first, last)

    def days_before(self) -> list[str]:
        """Return the days before the range that tell what is usual."""
        return _named(self.first - timedelta(days=USUAL_DAYS), self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Row:
    """What was consumed under these names, which stand in the order of the query's `group_by`."""

    names: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a query; `forecast` where the range is not over, of the whole range."""

    query: Query
    rows: list[Row]
    total: Usage
    forecast: Forecast | None
    unusual: list[Unusual]

    def public(self) -> dict[str, Any]:
        """Return the report as JSON."""
        group_by = self.query.group_by
        foretold = self.forecast
        return {
            "from": self.query.first.isoformat(),
            "to": self.query.last.isoformat(),
            "group_by": list(group_by),
            "currency": "USD",
            "total": sums(self.total),
            "rows": [
                dict(zip(group_by, row.names, strict=True)) | sums(row.usage) for row in self.rows
            ],
            "forecast": foretold
            and {
                "cost_nanodollars": foretold.nanodollars,
                "low_nanodollars": foretold.low,
                "high_nanodollars": foretold.high,
            },
            "unusual_days": [_unusual(found) for found in self.unusual],
        }


def read_query(given: Mapping[str, str], today: date) -> Query:
    """Return what `from`, `to` and `group_by` ask for; without them the month of today, as a whole.

    Raises InvalidInputError for what is no date, a range that has not begun, that nothing is known
    of any more, that ends before it begins or is too long, and for what nothing is grouped by.
    """
    wrong = dict[str, str]()
    first = _day(given, "from", today.replace(day=1), wrong)
    last = _day(given, "to", max(first, _end_of_month(today)), wrong)
    group_by = tuple(name for name in given.get("group_by", "").split(",") if name)
    most = MOST_HOUR_DAYS if "hour" in group_by else MOST_DAYS
    if first > today:
        wrong["/query/from"] = f"must not be after today, {today} (UTC)"
    elif first < today - timedelta(days=KEPT_DAYS):
        wrong["/query/from"] = f"costs are kept for {KEPT_DAYS} days"
    elif last < first:
        wrong["/query/to"] = "must not be before `from`"
    elif (last - first).days >= most:
        wrong["/query/to"] = f"a report has at most {most} days{' by hour' * (most < MOST_DAYS)}"
    unknown = [name for name in group_by if name not in DIMENSIONS]
    if group_by != (FLOW,) and (unknown or len(set(group_by)) < len(group_by)):
        wrong["/query/group_by"] = f"must be some of {','.join(DIMENSIONS)}, each once; or {FLOW}"
    if wrong:
        raise InvalidInputError("a parameter is wrong", wrong)
    return Query(first, last, group_by)


def report(query: Query, cells: Iterable[Cell], before: Iterable[Cell], now_ms: int) -> Report:
    """Return the report of the range's cells; `before` are those of `Query.days_before`, by day."""
    cells = list(cells)
    rows = grouped(cells, query.group_by)
    total = reduce(add, (row.usage for row in rows), Usage())
    past = [*before, *cells]
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    costs = {date.fromisoformat(day): cost for day, cost in _costs(past, "day").items()}
    foretold = None
    if query.last >= today:
        share = now_ms % DAY_MS / DAY_MS
        foretold = forecast(costs, today, query.first, query.last, share_of_today=share)
    found = [each for each in _unusual_days(past, costs, today) if each.day >= query.first]
    return Report(query, rows, total, foretold, found)


def grouped(cells: Iterable[Cell], group_by: tuple[str, ...]) -> list[Row]:
    """Return the sums of cells that have the same names in these dimensions, in order of names."""
    name_of = [DIMENSIONS[dimension] for dimension in group_by]
    sums = dict[tuple[str, ...], Usage]()
    for cell in cells:
        names = tuple(name(cell) for name in name_of)
        sums[names] = sums.get(names, Usage()) + cell.usage
    return [Row(names, sums[names]) for names in sorted(sums)]


def _unusual_days(cells: list[Cell], costs: Mapping[date, int], today: date) -> list[Unusual]:
    """Return unusual days, each with the part that grew most, in whichever dimension tells most."""
    parts: dict[date, dict[str, int]] = {}
    for dimension in PARTS:
        for cell in cells:
            of_day = parts.setdefault(date.fromisoformat(cell.day), {})
            name = f"{dimension} {DIMENSIONS[dimension](cell)}"
            of_day[name] = of_day.get(name, 0) + cell.usage.cost_nanodollars
    return unusual_days(costs, parts, today)


def _costs(cells: Iterable[Cell], dimension: str) -> dict[str, int]:
    rows = grouped(cells, (dimension,))
    return {row.names[0]: row.usage.cost_nanodollars for row in rows}


def sums(usage: Usage) -> dict[str, Any]:
    """Return the sums, with the part of the cost that is sure, and the share that is a bound."""
    cost, lost = usage.cost_nanodollars, usage.lost_nanodollars
    return usage.public() | {
        "sure_nanodollars": cost - lost,
        "estimated_share": round(lost / cost, 6) if cost else 0.0,
    }


def _unusual(found: Unusual) -> dict[str, Any]:
    told: dict[str, Any] = {
        "day": found.day.isoformat(),
        "cost_nanodollars": found.nanodollars,
        "usual_nanodollars": found.usual,
    }
    if found.part is None:
        return told
    dimension, _, name = found.part.partition(" ")
    most = {dimension: name, "cost_nanodollars": found.part_nanodollars}
    return told | {"grew_most": most | {"usual_nanodollars": found.part_usual}}


def _day(given: Mapping[str, str], name: str, otherwise: date, wrong: dict[str, str]) -> date:
    text = given.get(name)
    if text is None:
        return otherwise
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        wrong[f"/query/{name}"] = "must be a date, such as 2026-11-25"
        return otherwise


def _end_of_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _named(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
