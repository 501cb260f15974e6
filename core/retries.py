"""Trying again: one policy, and one deadline however many parts would try again.

Whoever starts something says how long it may take in all; the parts below it see that deadline and
keep to it, instead of each adding its own. Right only for what may be done twice.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from core.errors import UnavailableError

T = TypeVar("T")

_give_up_at: ContextVar[float | None] = ContextVar("give_up_at", default=None)


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Have all that is tried again inside end after `seconds`; an earlier deadline around it stays."""
    mine, around = time.monotonic() + seconds, _give_up_at.get()
    token = _give_up_at.set(mine if around is None else min(mine, around))
    try:
        yield
    finally:
        _give_up_at.reset(token)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Tries again after UnavailableError. Times are in seconds.

    Pauses grow, with full jitter, so that a hundred functions do not come back in step.

    Where no `deadline` was set around the call, it ends after `seconds` or `attempts`, whichever
    comes first: somebody is waiting. A refusal that is known to last is waited out, or raised at
    once where there is no time for that.
    """

    seconds: float = 5.0
    attempts: int = 6
    first: float = 0.05
    longest: float = 1.0

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns in the end. Raises its UnavailableError when the time is over."""
        around = _give_up_at.get()
        give_up_at = time.monotonic() + self.seconds if around is None else around
        pause = self.first
        for attempt in itertools.count(1):
            try:
                return await call()
            except UnavailableError as error:
                wait = error.lasts_seconds or random.uniform(0, pause)  # noqa: S311 -- jitter
                enough = around is None and attempt >= self.attempts
                if enough or time.monotonic() + wait > give_up_at:
                    raise
            await asyncio.sleep(wait)
            pause = min(2 * pause, self.longest)
        raise AssertionError
