"""Reports: what was spent in a range of days, grouped by any of the roll-up's dimensions.

A report is made of cells, of which a day has a bounded number, so it costs as much for a million
calls as for ten thousand. It has a page of rows; what is told of the whole range, each page has. Money
is in nano-dollars.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from core.costs.cells import SUMS, Cell
from core.costs.forecast import HISTORY_DAYS, Forecast, forecast
from core.costs.rollup import DAY_MS, HOUR_MS
from core.costs.tally import DIMENSIONS, Days, Key, Rows, total
from core.costs.unusual import Unusual
from core.costs.usage import Usage
from core.errors import InvalidInputError
from core.json_text import compact

MOST_DAYS, MOST_HOUR_DAYS = 400, 31
KEPT_DAYS = 400
USUAL_DAYS = HISTORY_DAYS  # read before the range, for what is usual

MOST_ROWS, MOST_FOCUS_ROWS = 5_000, 3_000  # of a page: under the 6 MB that Lambda answers with
FLOW = "flow"  # stands alone, and is not of the roll-up (core/costs/flow_costs.py)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
class Page:
    """Which rows: at most `limit`, after those of the names `after`."""

    limit: int = MOST_ROWS
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What was consumed under these names, which stand in the order of the query's `group_by`."""

    names: Key
    usage: Usage


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a query; `forecast` where the range is not over, of the whole range.

    Where `more` rows follow, those after the last one's names are the next page.
    """

    query: Query
    rows: list[Row]
    more: bool
    total: Usage
    forecast: Forecast | None
    unusual: list[Unusual]

    def public(self, next_path: str | None) -> dict[str, Any]:
        """Return all but the rows as JSON."""
        foretold = self.forecast
        return {
            "from": self.query.first.isoformat(),
            "to": self.query.last.isoformat(),
            "group_by": list(self.query.group_by),
            "currency": "USD",
            "total": sums(self.total),
            "forecast": foretold
            and {
                "cost_nanodollars": foretold.nanodollars,
                "low_nanodollars": foretold.low,
                "high_nanodollars": foretold.high,
            },
            "unusual_days": [_unusual(found) for found in self.unusual],
            "next": next_path,
        }


class Tally:
    """Makes a report of cells, which come in pieces and in order of their days.

    Those of the days before the range come first; they tell what is usual.
    """

    def __init__(self, query: Query, page: Page, now_ms: int) -> None:
        self._query, self._now_ms = query, now_ms
        self.today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        self._days = Days(self.today)
        self._rows = Rows(query.group_by, page.limit, page.after)
        self._total: Sequence[int] = (0,) * len(SUMS)

    def take_before(self, cells: Sequence[Cell]) -> None:
        """Add cells of days before the range."""
        self._days.take(cells)

    def take(self, cells: Sequence[Cell]) -> None:
        """Add cells of the range."""
        self._days.take(cells)
        self._rows.take(cells)
        self._total = total(cells, self._total)

    def report(self) -> Report:
        """Return the report of what was added."""
        query, found = self._query, self._days.unusual()
        return Report(
            query,
            [Row(*row) for row in self._rows.in_order()],
            self._rows.more,
            Usage(*self._total),
            self._forecast(),
            [each for each in found if each.day >= query.first],
        )

    def _forecast(self) -> Forecast | None:
        """Return what the range will have cost; it changes by the hour, so that it may be kept as long."""
        if self._query.last < self.today:
            return None
        share = self._now_ms // HOUR_MS * HOUR_MS % DAY_MS / DAY_MS
        first, last = self._query.first, self._query.last
        return forecast(self._days.costs, self.today, first, last, share_of_today=share)


def rows_text(query: Query, rows: Sequence[Row]) -> str:
    """Return rows as members of a JSON array."""
    members = (dict(zip(query.group_by, row.names, strict=True)) | sums(row.usage) for row in rows)
    return ",".join(map(compact, members))


def read_page(after: str | None, limit: int | None, group_by: Sequence[str], most: int) -> Page:
    """Return the page that is asked for. Raises InvalidInputError for an `after` that no page told."""
    if after is None:
        return Page(limit or most)
    try:
        names: Any = json.loads(after)
    except (ValueError, RecursionError):
        names = None
    found = cast("list[Any]", names) if isinstance(names, list) else []
    if len(found) != len(group_by) or not found or not all(isinstance(name, str) for name in found):
        why = "must be that of a page's `next`"
        raise InvalidInputError("a parameter is wrong", {"/query/after": why})
    return Page(limit or most, tuple(found))


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


def sums(usage: Usage) -> dict[str, Any]:
    """Return the sums, with the part of the cost that is sure, and the share that is a bound."""
    cost, lost = usage.cost_nanodollars, usage.lost_nanodollars
    return usage.public() | {
        "sure_nanodollars": cost - lost,
        "estimated_share": round(lost / cost, 6) if cost else 0.0,
    }


def _unusual(found: Unusual) -> dict[str, Any]:
    body: dict[str, Any] = {
        "day": found.day.isoformat(),
        "cost_nanodollars": found.nanodollars,
        "usual_nanodollars": found.usual,
    }
    if found.part is None:
        return body
    dimension, _, name = found.part.partition(" ")
    most = {dimension: name, "cost_nanodollars": found.part_nanodollars}
    return body | {"grew_most": most | {"usual_nanodollars": found.part_usual}}


def _day(given: Mapping[str, str], name: str, otherwise: date, wrong: dict[str, str]) -> date:
    text = given.get(name)
    if text is None:
        return otherwise
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        wrong[f"/query/{name}"] = "must be a date, such as 2026-11-25"
        return otherwise


def _end_of_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _named(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
