"""Listening to wake-ups beside the loop over what is due, on a host where a process may stay."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from core.crews.wakeups import WakeListener
from core.due_loop import DueLoop, Idle
from core.errors import UnavailableError

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 5.0  # between two attempts at listening


@asynccontextmanager
async def listening(
    listener: WakeListener, loop: DueLoop[Any], wake: Callable[[str, str], None], idle: Idle
) -> AsyncGenerator[None]:
    """Call `wake` with tenant and flow of each wake-up; have the loop sleep like `idle` meanwhile.

    While nothing can be listened to, the loop sleeps as it did before.
    """
    task = asyncio.create_task(_Listening(listener, loop, wake, idle).keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(slots=True)
class _Listening:
    """Listens to wake-ups, and begins anew whenever that breaks."""

    listener: WakeListener
    loop: DueLoop[Any]
    wake: Callable[[str, str], None]
    idle: Idle
    reported: bool = False  # that it cannot listen; once, not at every attempt

    async def keep(self) -> None:
        unwoken = self.loop.idle
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the loop goes on
                self._report(error)
            self._sleep_like(unwoken)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with self.listener.listen() as wake_ups:
            self.reported = False
            self._sleep_like(self.idle)
            async for tenant, flow in wake_ups:
                self.wake(tenant, flow)

    def _sleep_like(self, idle: Idle) -> None:
        self.loop.idle = idle
        self.loop.woken.set()  # it may be asleep by the other, or a wake-up may have been missed

    def _report(self, error: Exception) -> None:
        if self.reported:
            return
        self.reported = True
        if isinstance(error, UnavailableError):
            log.info("cannot listen to wake-ups, polling for %s: %s", self.loop.name, error)
        else:
            log.error("cannot listen to wake-ups, polling for %s", self.loop.name, exc_info=error)
