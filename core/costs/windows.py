"""Windows: in what time the limit of a budget may be spent once; days and months are a tenant's own."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.costs.rollup import DAY_MS, HOUR_MS
from core.errors import InvalidInputError

NO_ZONES = ("Factory", "localtime", "posixrules")  # files beside those of time zones
ZONE_YEARS = 10  # for which the clock changes of a time zone are written down


class Window(StrEnum):
    """The time in which a limit counts."""

    FLOW = "flow"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Zone:
    """A tenant's time zone: the time from which (ms) each of its offsets (ms) holds, in order."""

    name: str
    offsets: tuple[tuple[int, int], ...]

    def offset_ms(self, time_ms: int) -> int:
        """Return how far its clocks are ahead of UTC."""
        past = [offset for since, offset in self.offsets if since <= time_ms]
        return past[-1] if past else self.offsets[0][1]

    def window(self, window: Window, time_ms: int) -> str:
        """Return the day (`2026-11-27`) or month (`2026-11`) of a time; `` for a flow's."""
        if window is Window.FLOW:
            return ""
        day = _utc(time_ms + self.offset_ms(time_ms)).date().isoformat()
        return day if window is Window.DAY else day[:7]

    def end_ms(self, window: Window, time_ms: int) -> int | None:
        """Return when a day or month ends: at midnight, or, where clocks leap over it, as they do."""
        if window is Window.FLOW:
            return None
        local = _utc(time_ms + self.offset_ms(time_ms)).replace(hour=0, minute=0, second=0)
        next_day = local.replace(microsecond=0) + timedelta(days=1)
        while window is Window.MONTH and next_day.day != 1:
            next_day += timedelta(days=1)
        midnight = round(next_day.timestamp() * 1000)
        changes = [since for since, _ in self.offsets[1:]]
        for (since, offset), until in zip(self.offsets, [*changes, math.inf], strict=True):
            if (end := max(since, midnight - offset)) < until:
                return end
        raise AssertionError("the last offset holds for ever")


UTC_ZONE = Zone("UTC", ((0, 0),))


def zone(name: str, now_ms: int) -> Zone:
    """Return a time zone by its IANA name. Raises InvalidInputError."""
    if name in NO_ZONES or name.startswith(("right/", "posix/")):
        raise InvalidInputError(f"there is no time zone {name!r}")
    try:
        info = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(f"there is no time zone {name[:64]!r}") from error
    since = now_ms - 40 * DAY_MS
    found = [(0, _offset_ms(info, since))]
    for day in range(ZONE_YEARS * 366):
        before, after = since + day * DAY_MS, since + (day + 1) * DAY_MS
        if _offset_ms(info, after) != found[-1][1]:
            found.append((_change_ms(info, before, after), _offset_ms(info, after)))
    return Zone(name, tuple(found))


def _change_ms(info: ZoneInfo, before: int, after: int) -> int:
    """Return the minute in which clocks change between two times."""
    old = _offset_ms(info, before)
    while after - before > HOUR_MS // 60:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset_ms(info, middle) == old else (before, middle)
    return -(-before // 60_000) * 60_000


def _offset_ms(info: ZoneInfo, time_ms: int) -> int:
    offset = datetime.fromtimestamp(time_ms / 1000, info).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
