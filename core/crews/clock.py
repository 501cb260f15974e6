"""Clocks: the time of day for show, and how long a process may still run."""

import math
import time
from typing import Protocol


class Clock(Protocol):
    """Port: how long this invocation may still run."""

    def seconds_left(self) -> float:
        """Return the seconds until the host ends this process; infinite on a server."""
        ...


class NoLimit:
    """The clock of a host that lets a process run on."""

    def seconds_left(self) -> float:
        """Return infinity."""
        return math.inf


def now_ms() -> int:
    """Return milliseconds since 1970 by this process' clock: for timestamps, never for decisions."""
    return time.time_ns() // 1_000_000
