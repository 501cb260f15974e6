"""Dispatching: process the outbox entries that are due, once or for ever."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.crews.ledger import FencedError
from core.due_loop import Due, DueLoop, Idle, Room
from core.errors import UnavailableError
from core.webhooks.alerts import AlertDispatch
from core.webhooks.dispatch import Dispatch, DispatchParts
from core.webhooks.outbox import Delivery

ROOM = Room(concurrency=32, per_tenant=8)  # flows that one process has under way
IDLE = Idle(shortest=0.2, longest=10.0)
LIMIT = 1000  # flows in one invocation


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class WebhookDispatcher:
    """Sends webhooks with these parts."""

    parts: DispatchParts
    idle: Idle = IDLE

    async def deliver_once(self, limit: int = LIMIT, stopped: Callable[[], bool] = _never) -> int:
        """Send what is due now, of at most `limit` flows; return how many were processed.

        When `stopped` says so, the POSTs under way are finished and the rest stays due. Raises
        UnavailableError.
        """
        return await self.loop(stopped).run_due(limit, stopped)

    def loop(self, stopped: Callable[[], bool]) -> DueLoop[Delivery]:
        """Return a loop that sends what is due; `stopped` tells it to leave the rest."""

        async def run(tenant: str, delivery: Delivery) -> None:
            kind = Dispatch if delivery.alert is None else AlertDispatch
            await kind(self.parts, tenant, delivery, stopped).process()

        return DueLoop("webhooks", self._lease, run, ROOM, self.idle, self._give_back)

    async def _give_back(self, tenant: str, delivery: Delivery) -> None:
        """Put off what finds no place here, as its tenant has too much under way."""
        parts = self.parts
        with contextlib.suppress(FencedError, UnavailableError):  # it comes again with its lease
            await parts.outbox.save(tenant, delivery, parts.times.put_off_ms())

    async def _lease(self, limit: int, per_tenant: int) -> Due[Delivery]:
        return await self.parts.outbox.lease(limit, per_tenant, self.parts.times.lease_ms)
