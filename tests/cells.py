"""The cells of roll-ups as tests compare them."""

from collections.abc import Sequence

from core.costs.rollup import Cell, in_order
from core.costs.tally import SUMS, CellSums
from core.costs.usage import Usage
from core.crews.budgets import BudgetBook


async def cells_of(
    book: BudgetBook, tenant: str, days: Sequence[str], *, hours: bool = False
) -> list[Cell]:
    """Return the cells of these days, or of their hours, in order."""
    pieces = [each async for each in book.spending_pieces(tenant, days, list, hours=hours)]
    return in_order([_cell(each) for piece in pieces for each in piece])


def _cell(of: CellSums) -> Cell:
    facts = {name: value for name, value in of.stored.items() if name not in SUMS}
    return Cell(of.day, of.hour, *of.names, Usage(*of.sums), facts)
