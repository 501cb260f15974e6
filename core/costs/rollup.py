"""The roll-up: what model calls consumed, summed in cells, so that a report reads no single call.

A cell is what was consumed on one day, or in one hour of it, by one crew, task, agent, subject and
model. Days and hours are UTC, by the store's clock. A day has a bounded number of cells: beyond it
new ones are counted without their subject, and beyond a quarter more without any name (`FOLDED`), so
that no tenant's report grows without bound and no cost is lost.
"""

from collections.abc import Container
from datetime import UTC, datetime, timedelta

MOST_CELLS, MOST_HOUR_CELLS = 2_000, 5_000  # of a day, and of its hours together
NOBODY = "-"  # the subject of what nobody launched
FOLDED = "~"

DAY_MS, HOUR_MS, QUARTER_MS = 86_400_000, 3_600_000, 900_000
REMEMBERED_DAYS = 32  # ids of what is counted once, at least

Names = tuple[str, str, str, str, str]  # of NAMED
NAMED = ("crew", "task", "agent", "subject", "model")

NAMELESS: Names = (FOLDED, FOLDED, FOLDED, FOLDED, FOLDED)


def day_of(time_ms: float) -> str:
    """Return the day of a time as roll-ups name it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def months_around(time_ms: int) -> list[str]:
    """Return the month before that of a time by UTC, its own and the next."""
    first = datetime.fromtimestamp(time_ms / 1000, UTC).replace(day=1)
    days = first - timedelta(days=1), first, first + timedelta(days=32)
    return [day.date().isoformat()[:7] for day in days]


def folded(names: Names, known: Container[Names], count: int, most: int) -> Names:
    """Return the names of the cell that a call is counted in, where `count` cells are known."""
    if names in known or count < most:
        return names
    crew, task, agent, _, model = names
    without_subject = crew, task, agent, FOLDED, model
    if without_subject in known or count < most + most // 4:
        return without_subject
    return NAMELESS
