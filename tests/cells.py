"""The cells of roll-ups as tests compare them."""

from collections.abc import Sequence

from core.costs.cells import Cell
from core.costs.spending_log import SpendingLog


async def cells_of(
    spending: SpendingLog, tenant: str, days: Sequence[str], *, hours: bool = False
) -> list[Cell]:
    """Return the cells of these days, or of their hours, in order."""
    pieces = [each async for each in spending.pieces(tenant, days, list, hours=hours)]
    found = [Cell.of(*each[:3], each.usage, each.facts) for piece in pieces for each in piece]
    return sorted(found, key=lambda cell: (cell.day, cell.hour or 0, cell.names))
