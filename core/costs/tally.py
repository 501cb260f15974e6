"""Tally: the sums of a report, taken from cells piece by piece, so that no piece takes long.

Of the rows only those of the page are kept, and of what days were made of only the last weeks'.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from operator import add, itemgetter
from typing import Any

from core.costs.cells import SUMS, Cell
from core.costs.rollup import NAMED
from core.costs.unusual import Watch
from core.costs.usage import Usage

_COST = SUMS.index("cost_nanodollars")
_NOTHING: tuple[int, ...] = (0,) * len(SUMS)
_PARTS = ("model", "crew", "task", "agent", "subject")  # of two that grew as much the first is told


Key = tuple[str, ...]


def _time(cell: Cell) -> str:
    return f"{cell.day}T{cell.hour or 0:02}:00:00Z"


def _named(part: str) -> Callable[[Cell], str]:
    place = NAMED.index(part)
    return lambda cell: cell.names[place]


DIMENSIONS: Mapping[str, Callable[[Cell], str]] = {
    "day": itemgetter(0),
    "hour": _time,
    **{part: _named(part) for part in NAMED},
}
_EVERY_DIMENSION: Mapping[str, Callable[[Cell], str]] = {
    **DIMENSIONS,
    "variant": lambda cell: cell.variant,
}


class Rows:
    """The first `limit` rows after a place, in order of names: sums of cells that have the same names.

    `more` tells whether others follow.
    """

    def __init__(self, group_by: Sequence[str], limit: int, after: Key | None = None) -> None:
        self._names = [_EVERY_DIMENSION[name] for name in group_by]
        self._limit, self._after = limit, after
        self._sums: dict[Key, Sequence[int]] = {}
        self._last: Key | None = None  # what lies beyond is of a later page

    def take(self, cells: Iterable[Cell]) -> None:
        """Add cells."""
        sums, after, last = self._sums, self._after, self._last
        for cell in cells:
            names = tuple([name(cell) for name in self._names])
            if (after is not None and names <= after) or (last is not None and names > last):
                continue
            known = sums.get(names)
            sums[names] = cell.sums if known is None else tuple(map(add, known, cell.sums))
        self._cut()

    def _cut(self) -> None:
        """Forget what is surely beyond the page; one row more tells that there is something."""
        if len(self._sums) > self._limit + 1:
            kept = sorted(self._sums)[: self._limit + 1]
            self._sums, self._last = {names: self._sums[names] for names in kept}, kept[-1]

    @property
    def more(self) -> bool:
        return len(self._sums) > self._limit

    def is_beyond(self, day: str) -> bool:
        """Tell whether all cells of a day and those after it are of later pages; rows begin with the day."""
        return self._last is not None and day > self._last[0]

    def in_order(self) -> list[tuple[Key, Usage]]:
        """Return the rows of the page."""
        kept = sorted(self._sums)[: self._limit]
        return [(names, Usage(*self._sums[names])) for names in kept]


class Days:
    """What days cost in all, and which were unusual. Cells come in order of their days."""

    def __init__(self, today: date) -> None:
        self.costs: dict[date, int] = {}
        self._today = today
        self._watch = Watch()
        self._open: date | None = None
        self._parts: list[dict[str, int]] = []

    def take(self, cells: Sequence[Cell]) -> None:
        """Add cells of one day, or of several."""
        at = 0
        while at < len(cells):
            day, begun = cells[at].day, at
            while at < len(cells) and cells[at].day == day:
                at += 1
            self._take(date.fromisoformat(day), cells[begun:at])

    def unusual(self) -> list[Any]:
        """Return the unusual days up to yesterday."""
        self._close(self._today)
        return self._watch.found()

    def _take(self, day: date, cells: Sequence[Cell]) -> None:
        self._close(day)
        cost = 0
        for cell in cells:
            spent = cell.sums[_COST]
            cost += spent
            for part, name in zip(self._parts, cell.names, strict=True):
                part[name] = part.get(name, 0) + spent
        self.costs[day] = self.costs.get(day, 0) + cost

    def _close(self, day: date) -> None:
        """See the days before this one as over."""
        if self._open is None:
            self._open, self._parts = day, [{} for _ in _PARTS]
        while self._open < day:
            self._watch.see(self._open, self.costs.get(self._open, 0), self._named())
            self._open, self._parts = self._open + timedelta(days=1), [{} for _ in _PARTS]

    def _named(self) -> dict[str, int]:
        return {
            f"{dimension} {name}": cost
            for dimension in _PARTS
            for name, cost in self._parts[NAMED.index(dimension)].items()
        }


def total(cells: Sequence[Cell], more: Sequence[int] = _NOTHING) -> Sequence[int]:
    """Return the sums of cells, and of `more`."""
    return tuple(map(sum, zip(more, *(cell.sums for cell in cells), strict=True)))
