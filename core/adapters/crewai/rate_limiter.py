"""RateLimiter: how many model calls an agent may begin in a minute (`max_rpm`).

It holds for all steps of a flow that this process runs: CrewAI's own counter dies with its agent,
and every step has a new one. Other workers of the flow keep a count of their own.
"""

import math
import time
from collections import deque
from collections.abc import Hashable
from threading import Lock


class RateLimiter:
    """Sliding window: tells each caller how long to wait before its next call, in order of asking."""

    def __init__(self, minute_seconds: float = 60.0) -> None:
        self._minute = minute_seconds
        self._lock = Lock()
        self._starts: dict[Hashable, deque[float]] = {}  # of the last calls, some yet to come

    def wait_seconds(
        self, whose: Hashable, per_minute: int | None, patience_seconds: float = math.inf
    ) -> float:
        """Return how long the next call has to wait; it counts from then on.

        If that is longer than the caller's patience, it does not count: the caller asks again.
        """
        if per_minute is None:
            return 0.0
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            last = self._starts.get(whose, deque[float]())
            last = self._starts[whose] = deque(last, maxlen=per_minute)
            full = len(last) == per_minute
            start = max(now, last[0] + self._minute) if full else now
            if start - now <= patience_seconds:
                last.append(start)
            return start - now

    def _forget(self, now: float) -> None:
        """Drop the agents that have been quiet for a minute, or a server would keep them all."""
        quiet = [who for who, last in self._starts.items() if last[-1] + self._minute < now]
        for who in quiet:
            del self._starts[who]
