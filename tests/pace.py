"""Bounds on processor time, which hold on a slow machine as on a fast one.

A bound says what a piece of work may take on a machine of a known pace. On one that is slower, or that
others use too, it is as much longer as a known piece of work takes longer there, just then.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KNOWN_WORK_SECONDS = 0.002  # of the processor that the bounds were written on


def cpu_bound(seconds: float) -> float:
    """Return how long what should take `seconds` of the processor may take here and now."""
    return seconds * max(1.0, min(_known_work() for _ in range(5)) / KNOWN_WORK_SECONDS)


@contextmanager
def cpu_seconds_under(seconds: float) -> Iterator[None]:
    """Fail if what is done within takes this thread longer than `seconds` of the processor."""
    began = time.thread_time()
    yield
    spent = time.thread_time() - began
    assert spent < seconds or spent < cpu_bound(seconds)


async def longest_turn(of: asyncio.Task[Any]) -> float:
    """The most that the loop's thread computes, in seconds, until somebody else has a turn."""
    longest, began = 0.0, time.thread_time()
    while not of.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, began = max(longest, now - began), now
    return longest


def _known_work() -> float:
    began = time.thread_time()
    known = dict[str, int]()
    for number in range(20_000):
        known[str(number)] = number
    return time.thread_time() - began
