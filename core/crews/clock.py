"""Clocks: how long a process may still run."""

import asyncio
import math
import time
from typing import Protocol


class Clock(Protocol):
    """Port: how long this process may still work on steps."""

    @property
    def limit_seconds(self) -> float:
        """How long it may work in all, infinite on a server."""
        ...

    def seconds_left(self) -> float:
        """Return the seconds after which all steps must be given back; infinite on a server."""
        ...


class NoLimit:
    """The clock of a host that lets a process run on."""

    limit_seconds = math.inf

    def seconds_left(self) -> float:
        """Return infinity."""
        return math.inf


class StoppableClock:
    """The clock of a server: infinite until `stop` is called, then `stop_seconds` are left."""

    limit_seconds = math.inf

    def __init__(self, stop_seconds: float) -> None:
        self._stop_seconds, self._end = stop_seconds, math.inf
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin no step any more; those that run may take `stop_seconds` to finish."""
        self._end = min(self._end, time.monotonic() + self._stop_seconds)
        self.stopping.set()

    def seconds_left(self) -> float:
        """Return what is left for steps that run."""
        return self._end - time.monotonic()
