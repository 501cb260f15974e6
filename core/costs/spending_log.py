"""The spending log: what calls were counted as, by days and hours in cells, and by flow."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from core.costs.cells import Cell
from core.costs.flow_costs import FlowCost

PIECE_CELLS = 2_500  # about 15 ms to parse and sum
T = TypeVar("T")


class SpendingLog(Protocol):
    """Port: what tenants have spent."""

    def pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[Cell]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        """Yield `work` of the cells of these days (`2026-11-25`), or of their hours.

        It is done with a bounded number of cells at a time, beside the event loop.

        They come in order of days; those of one day in none, and perhaps in several pieces.
        """
        ...

    async def by_flow(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        """Return at most `limit` flows that were created in this time and are kept, newest first.

        With `before`, those whose `order` is lower.
        """
        ...
