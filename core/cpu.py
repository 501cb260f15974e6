"""Work that takes the processor for more than a millisecond, done beside the event loop.

It has threads of its own: in asyncio's default pool it would wait behind uploads to an object store
that hangs.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

D = TypeVar("D")
T = TypeVar("T")

LARGE_BYTES = 64 * 1024  # coding or parsing that much takes about 1 ms
THREADS = 1  # two would only take the interpreter from each other, and from the event loop


async def run(work: Callable[[D], T], data: D, size_bytes: int | None = None) -> T:
    """Return `work(data)`, done in a thread unless the data is small. Raises what the work raises.

    Where its size says little of how long the work may take, none is given.
    """
    if size_bytes is not None and size_bytes <= LARGE_BYTES:
        return work(data)
    return await asyncio.get_running_loop().run_in_executor(_pool(), work, data)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "cpu")
