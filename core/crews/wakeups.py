"""Wake-ups: messages that say "look at this flow", sent to workers and heard by them.

They are hints. A flow stays in the ledger's due set until it was looked at, so a wake-up that is
lost, late or doubled costs time and nothing else.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from core.errors import UnavailableError

log = logging.getLogger(__name__)

MOST_WOKEN = 20  # at once, of many flows that have become due: workers find the rest


class WakeQueue(Protocol):
    """Port: sends wake-ups. One may be lost, late or doubled."""

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Ask for a worker to look at a flow. Raises UnavailableError."""
        ...


class WakeListener(Protocol):
    """Port: hears wake-ups, for a worker that may stay."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, str]]]:
        """Yield (tenant, flow) of each wake-up since this was entered.

        Iteration ends when the connection is lost. Raises UnavailableError on entering.
        """
        ...


class WakeVerifier(Protocol):
    """Port: tells wake-ups that our queue delivers over HTTP from forged ones."""

    def verify(self, signature: str, body: bytes, url: str) -> None:
        """Return if the queue signed these bytes for this address. Raises UnauthenticatedError."""
        ...


async def wake_workers(wake_queue: WakeQueue, tenant: str, flows: Iterable[str]) -> None:
    """Send a wake-up for each of some flows of a tenant, all at once."""
    await asyncio.gather(*(wake_worker(wake_queue, tenant, flow) for flow in flows))


async def wake_worker(wake_queue: WakeQueue, tenant: str, flow: str) -> None:
    """Send a wake-up, or leave that to the sweep: the flow is due in any case."""
    try:
        await wake_queue.enqueue(tenant, flow)
    except UnavailableError:
        log.warning("no worker was woken; the sweep will", extra={"flow": flow})
