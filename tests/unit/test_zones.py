"""A tenant's days and months begin and end where its clocks say so, also where they leap at midnight."""

from zoneinfo import available_timezones

import pytest

from core.costs.rollup import DAY_MS, HOUR_MS
from core.costs.windows import Window, Zone, zone

NOW = 1_795_608_000_000  # 2026-11-25
LEAPS_AT_MIDNIGHT = ["America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Beirut"]
OTHERS = sorted(name for name in available_timezones() if "/" in name)[::8]


def around_changes(found: Zone) -> list[int]:
    """Hours of the days about the clock changes of some two years."""
    changes = [since for since, _ in found.offsets[1:] if since < NOW + 800 * DAY_MS] or [NOW]
    return [since + hour * HOUR_MS for since in changes for hour in range(-50, 50)]


@pytest.mark.parametrize("name", [*LEAPS_AT_MIDNIGHT, "Australia/Lord_Howe", *OTHERS])
def test_every_window_ends_where_the_next_begins(name: str):
    found = zone(name, NOW)
    for time in around_changes(found):
        for window in (Window.DAY, Window.MONTH):
            end = found.end_ms(window, time)
            assert end is not None
            assert end > time
            assert found.window(window, end) > found.window(window, time)
            assert found.window(window, end - 1) == found.window(window, time)


@pytest.mark.parametrize("name", LEAPS_AT_MIDNIGHT)
def test_a_day_without_a_midnight_begins_when_the_clocks_leap(name: str):
    found = zone(name, NOW)
    leap = next(
        since
        for (_, before), (since, after) in zip(found.offsets, found.offsets[1:], strict=False)
        if after > before and since > NOW
    )
    assert found.end_ms(Window.DAY, leap - 1) == leap
