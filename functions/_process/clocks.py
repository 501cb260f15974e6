"""Clocks of invocations: how long one may still run, as its host says."""

import time
from typing import Any

from core.config import WORKER_MARGIN_SECONDS


class LambdaClock:
    """The clock of a Lambda invocation: its time, without what committing and handing over take."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.limit_seconds = self.seconds_left()

    def seconds_left(self) -> float:
        """Return the time for steps."""
        return self._context.get_remaining_time_in_millis() / 1000 - WORKER_MARGIN_SECONDS


class DeadlineClock:
    """The clock of a request that the host answers within so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.limit_seconds = seconds - WORKER_MARGIN_SECONDS
        self._end = time.monotonic() + self.limit_seconds

    def seconds_left(self) -> float:
        """Return the time for steps."""
        return self._end - time.monotonic()
