"""Clocks of invocations: how long one may still run, as its host says."""

import time
from typing import Any

from core.config import WORKER_MARGIN_SECONDS


class LambdaClock:
    """The clock of a Lambda invocation."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def seconds_left(self) -> float:
        """Return the time for steps: Lambda's, without what committing and handing over take."""
        return self._context.get_remaining_time_in_millis() / 1000 - WORKER_MARGIN_SECONDS


class DeadlineClock:
    """The clock of a request that the host answers within so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds - WORKER_MARGIN_SECONDS

    def seconds_left(self) -> float:
        """Return the time for steps."""
        return self._end - time.monotonic()
