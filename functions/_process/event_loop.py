"""The event loop of a process in which a host calls handlers, one invocation after the other.

Cached clients keep connections, and these belong to the loop that made them. So there is one loop
for all handlers and all invocations of a process; `asyncio.run` would make one for each.
"""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in the process' loop; what a handler does with any coroutine."""
    return current().run_until_complete(coroutine)


def current() -> asyncio.AbstractEventLoop:
    """Return the process' loop, and make it this thread's own, for what asks asyncio for one."""
    loop = _loop()
    asyncio.set_event_loop(loop)
    return loop


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()
