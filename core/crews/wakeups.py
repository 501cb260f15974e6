"""Wake-ups: asking for a worker, and hearing that one is asked for.

Both are hints. Whatever is due stays in the ledger's due set until it was looked at, so a wake-up
that is lost, late or doubled costs time and nothing else.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Wake(Protocol):
    """Port: have a worker look at a flow soon. A wake-up may be lost, late or doubled."""

    async def wake(self, tenant: str, flow: str) -> None:
        """Ask for a worker. Raises UnavailableError."""
        ...


class Bell(Protocol):
    """Port: hearing of wake-ups, for a worker that may stay."""

    def listening(self) -> AbstractAsyncContextManager[AsyncIterator[object]]:
        """Yield something whenever a worker was asked for since this was entered.

        Iteration ends when the connection is lost. Raises UnavailableError on entering.
        """
        ...
