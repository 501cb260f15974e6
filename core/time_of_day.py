"""The time of day by this process' clock: for timestamps and for show, never for decisions."""

import time
from collections.abc import Callable

NowMs = Callable[[], int]


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000
