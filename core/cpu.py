"""Work that takes the processor for more than a millisecond, done beside the event loop, tenant by tenant.

One piece of work runs at a time: two would only take the interpreter from each other, and from the
event loop. However much a tenant has asked for, another one's next piece waits for the one that
runs, and for one of each tenant that came before it.

The thread is one of its own: in asyncio's default pool work would wait behind uploads to an object
store that hangs.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

D = TypeVar("D")
T = TypeVar("T")

LARGE_BYTES = 64 * 1024  # coding or parsing that much takes about 1 ms


async def run(
    tenant: str,
    work: Callable[[D], T],
    data: D,
    size_bytes: int | None = None,
    *,
    rests: bool = False,
) -> T:
    """Return `work(data)`, done in a thread unless the data is small. Raises what the work raises.

    Where its size says little of how long the work may take, none is given. A tenant that `rests` has
    its next turn when as much time has gone by as this one took, so it has half of the thread: for
    what anybody may send over and over.
    """
    if size_bytes is not None and size_bytes <= LARGE_BYTES:
        return work(data)
    loop = asyncio.get_running_loop()
    async with _queues.setdefault(loop, _Queue()).turn(tenant, rests=rests):
        return await loop.run_in_executor(_thread(), work, data)


async def run_long(work: Callable[[D], T], data: D) -> T:
    """Return `work(data)`, which takes longer than others should wait: in a thread apart from theirs.

    They share the interpreter with it, but no turn.
    """
    return await asyncio.get_running_loop().run_in_executor(_long_thread(), work, data)


class _Queue:
    """Who waits in one event loop: the tenants in one line, and each tenant's own behind it."""

    def __init__(self) -> None:
        self._line = asyncio.Lock()
        self._own = WeakValueDictionary[str, asyncio.Lock]()

    @asynccontextmanager
    async def turn(self, tenant: str, *, rests: bool) -> AsyncGenerator[None]:
        """Wait for a turn of this tenant; it ends with the context.

        Both locks are first come, first served, and nobody stands in the line but with the lock of
        its tenant: so the line has each tenant once.
        """
        own = self._own.setdefault(tenant, asyncio.Lock())
        await own.acquire()
        took = 0.0
        try:
            async with self._line:
                begun = time.monotonic()
                try:
                    yield
                finally:
                    took = time.monotonic() - begun
        finally:
            if rests:
                asyncio.get_running_loop().call_later(took, own.release)
            else:
                own.release()


_queues = WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue]()


@cache
def _long_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "cpu-long")


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "cpu")
