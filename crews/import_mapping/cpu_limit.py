"""A limit on the time that reasoning about one file and one target may take.

Both are a stranger's. What they may hold is bounded, but the product of the bounds is still more
than one step of one flow may take of a process that it shares: a thread cannot be stopped from
outside, so it looks at its own clock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

WAITS = 3  # times as long as it may compute, it may take: it waits for threads of other tenants
_ends: ContextVar[tuple[float, float] | None] = ContextVar("ends", default=None)


class TooMuchWork(ValueError):  # noqa: N818 -- it names the file and target, not a failure
    """A target and a file that take too long to compare; the message says what to do."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Let `check_cpu_limit` raise when this thread has computed for so long, or waited longer."""
    token = _ends.set((time.thread_time() + seconds, time.monotonic() + WAITS * seconds))
    try:
        yield
    finally:
        _ends.reset(token)


def check_cpu_limit() -> None:
    """Raise TooMuchWork if the time is over."""
    ends = _ends.get()
    if ends is not None and (time.thread_time() > ends[0] or time.monotonic() > ends[1]):
        raise TooMuchWork(
            "The target's names and the file's columns are too many and too long to compare;"
            " shorten x-names and x-parts, or split the file."
        )
