"""Each host's share of what a process sends for a tenant: a receiver that hangs holds up no other one.

A place at a host is waited for while its POSTs are answered in time. Where each of them has taken
longer than that, the host is slow: what else is for it is put off at once, and gives its own place
in the dispatcher to what is for other hosts.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

SHARE = 3  # of the eight flows of a tenant that are under way in a process
IN_TIME_SECONDS = 1.0


class SlowHostError(Exception):
    """The host has its share of POSTs under way, and does not answer them in time."""


@dataclass(slots=True)
class _Host:
    """`began` is when each POST under way began; `users` are those and who waits for a place."""

    free: asyncio.Semaphore
    began: list[float] = field(default_factory=list[float])
    users: int = 0


class HostShares:
    """The places of all hosts; of one process, used in one event loop."""

    def __init__(self, share: int = SHARE, in_time_seconds: float = IN_TIME_SECONDS) -> None:
        self._share, self._in_time_seconds = share, in_time_seconds
        self._hosts: dict[tuple[str, str, int], _Host] = {}

    @asynccontextmanager
    async def place(self, tenant: str, host: str, port: int) -> AsyncGenerator[None]:
        """Hold one of the tenant's places at a host. Raises SlowHostError if none becomes free."""
        key = tenant, host, port
        known = self._hosts.setdefault(key, _Host(asyncio.Semaphore(self._share)))
        known.users += 1
        try:
            async with self._taken(known):
                yield
        finally:
            known.users -= 1
            if not known.users:
                del self._hosts[key]

    @asynccontextmanager
    async def _taken(self, host: _Host) -> AsyncGenerator[None]:
        now = asyncio.get_running_loop().time
        if host.free.locked():
            await self._wait(host, max(host.began, default=now()) + self._in_time_seconds)
        else:
            await host.free.acquire()
        began = now()
        host.began.append(began)
        try:
            yield
        finally:
            host.began.remove(began)
            host.free.release()

    async def _wait(self, host: _Host, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await host.free.acquire()
        except TimeoutError:
            raise SlowHostError from None
