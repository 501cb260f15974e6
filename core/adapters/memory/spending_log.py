"""What tenants have spent, in memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from core import cpu
from core.adapters.memory.flows import MemoryFlows
from core.costs.cells import Cell
from core.costs.flow_costs import FlowCost
from core.costs.rollup import NOBODY
from core.costs.spending_log import PIECE_CELLS

T = TypeVar("T")


class MemorySpendingLog:
    """SpendingLog over the flows that spend."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[Cell]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        cells = self._flows.cells(tenant, days, hours=hours)
        for at in range(0, len(cells), PIECE_CELLS):
            yield await cpu.run(tenant, work, cells[at : at + PIECE_CELLS])

    async def by_flow(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        found = [
            FlowCost(
                r.flow.id,
                r.flow.crew,
                r.flow.launched_by or NOBODY,
                r.flow.created_ms,
                r.order,
                r.flow.usage,
            )
            for r in self._flows.newest(tenant, before)
            if since_ms <= r.flow.created_ms < until_ms
        ]
        return found[:limit]
