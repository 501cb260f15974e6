"""Dispatching: process the outbox entries that are due, once or for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from core.polling import Batch, Idle, PollLoop, Room
from core.webhooks.entry import OutboxEntry, Parts
from core.webhooks.outbox import Delivery

ROOM = Room(concurrency=32, per_tenant=8)  # flows that one process has under way
IDLE = Idle(shortest=0.2, longest=10.0)
LIMIT = 1000  # flows in one invocation


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class WebhookDispatcher:
    """Sends webhooks with these parts."""

    parts: Parts
    idle: Idle = IDLE

    async def deliver_once(self, limit: int = LIMIT, stopped: Callable[[], bool] = _never) -> int:
        """Send what is due now, of at most `limit` flows; return how many were processed.

        When `stopped` says so, the POSTs under way are finished and the rest stays due. Raises
        UnavailableError.
        """
        return await self._loop(stopped, asyncio.Event()).run_due(limit, stopped)

    async def run_forever(self, stopped: asyncio.Event, woken: asyncio.Event | None = None) -> None:
        """Send what becomes due, on a host where a process may stay, until `stopped`.

        Set `woken` to have it look at once.
        """
        await self._loop(stopped.is_set, woken or asyncio.Event()).run_forever(stopped)

    def _loop(self, stopped: Callable[[], bool], woken: asyncio.Event) -> PollLoop[Delivery]:
        async def run(tenant: str, delivery: Delivery) -> None:
            await OutboxEntry(self.parts, tenant, delivery, stopped).process()

        return PollLoop("webhooks", self._lease, run, ROOM, self.idle, woken)

    async def _lease(self, limit: int, per_tenant: int) -> Batch[Delivery]:
        return await self.parts.outbox.lease(limit, per_tenant, self.parts.policy.lease_ms)
