"""Listening to wake-ups beside a loop that polls, on a host where a process may stay."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from core.crews.wakeups import WakeListener
from core.errors import UnavailableError
from core.polling import Idle, PollLoop

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0  # between two attempts at listening


@asynccontextmanager
async def listening(
    listener: WakeListener, loop: PollLoop[Any], hear: Callable[[str, str], None], hearing: Idle
) -> AsyncGenerator[None]:
    """Call `hear` with tenant and flow of each wake-up; the loop idles like `hearing` meanwhile.

    Where wake-ups are not heard, it idles as it did before.
    """
    task = asyncio.create_task(_listen(listener, loop, hear, hearing))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(
    listener: WakeListener, loop: PollLoop[Any], hear: Callable[[str, str], None], hearing: Idle
) -> None:
    deaf = loop.idle
    while True:
        try:
            async with listener.listen() as wake_ups:
                loop.idle = hearing
                loop.woken.set()  # what came before it listened may have been missed
                async for tenant, flow in wake_ups:
                    hear(tenant, flow)
        except UnavailableError as error:
            log.info("wake-ups are not heard: %s", error)
        except Exception:
            log.exception("wake-ups are not heard")
        loop.idle = deaf
        loop.woken.set()
        await asyncio.sleep(AGAIN_SECONDS)
