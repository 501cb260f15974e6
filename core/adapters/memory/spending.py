"""What flows in memory have spent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core import time_of_day
from core.adapters.memory.budget_states import MemoryBudgetStates
from core.adapters.memory.log import MemoryLog
from core.adapters.memory.records import Record
from core.costs.cells import Cell
from core.costs.facts import NO_FACTS, Facts, added
from core.costs.rollup import (
    HOUR_MS,
    MOST_CELLS,
    MOST_HOUR_CELLS,
    Names,
    day_of,
    folded,
)
from core.costs.usage import Usage
from core.crews.call_ledger import Call


@dataclass(slots=True)
class DaySums:
    """The sums of a day, by hour (None: of the whole day) and names; at most `most`, then folded."""

    most: int
    sums: dict[tuple[int | None, Names], Usage] = field(
        default_factory=dict[tuple[int | None, Names], Usage]
    )
    facts: dict[tuple[int | None, Names], Facts] = field(
        default_factory=dict[tuple[int | None, Names], Facts]
    )

    def add(self, hour: int | None, names: Names, usage: Usage, facts: Facts) -> None:
        known = {of for at, of in self.sums if at == hour}
        cell = hour, folded(names, known, len(self.sums), self.most)
        self.sums[cell] = self.sums.get(cell, Usage()) + usage
        self.facts[cell] = added(self.facts.get(cell, NO_FACTS), facts)

    def cells(self, day: str) -> list[Cell]:
        """Return the cells of the day that these sums are of."""
        return [
            Cell.of(day, hour, names, usage, self.facts.get((hour, names), NO_FACTS))
            for (hour, names), usage in self.sums.items()
        ]


class MemorySpending(MemoryLog):
    """Counts calls: `spent` is what they consumed, by tenant, day, and whether by the hour."""

    def __init__(self, now_ms: Callable[[], int] = time_of_day.now_ms) -> None:
        super().__init__()
        self._now_ms = now_ms
        self.budgets = MemoryBudgetStates()
        self.spent: dict[tuple[str, str, bool], DaySums] = {}

    def now_ms(self) -> int:
        """Return the store's time."""
        return self._now_ms()

    def count_lost(self, tenant: str, record: Record, step: str | None = None) -> None:
        """Count the calls under way of a step, or of all, at their bounds."""
        for call in record.lose(step):
            used = call.bound.lost()
            self.count(record, call, used, tenant)
            record.lost[call.id] = (call, used, self._now_ms())

    def correct_lost(
        self, record: Record, call_id: str, usage: Usage, tenant: str, facts: Facts
    ) -> bool:
        """Count what a lost call consumed after all in place of its bound, once; tell if that is less."""
        if call_id not in record.lost:
            return False
        call, bound, counted_ms = record.lost.pop(call_id)
        self.spend(tenant, call.names, usage - bound, counted_ms, facts)
        more = usage.cost_nanodollars - bound.cost_nanodollars
        record.alerts += self.budgets.spend(call, 0, more, tells=not record.ended)
        record.correct(usage - bound, self._now_ms())
        return more < 0

    def count(
        self, record: Record, call: Call, usage: Usage, tenant: str, facts: Facts = NO_FACTS
    ) -> None:
        """Add what a call consumed to its flow and to the roll-ups of the day."""
        record.use(usage)
        bound = call.bound.cost_nanodollars
        record.alerts += self.budgets.spend(call, bound, usage.cost_nanodollars)
        self.spend(tenant, call.names, usage, self._now_ms(), facts)

    def cells(self, tenant: str, days: Sequence[str], *, hours: bool) -> list[Cell]:
        """Return the cells of these days, or of their hours."""
        return [cell for day in days for cell in self.day_sums(tenant, day, hours=hours).cells(day)]

    def day_sums(self, tenant: str, day: str, *, hours: bool) -> DaySums:
        """Return the sums of a day, or of its hours, to add to."""
        most = MOST_HOUR_CELLS if hours else MOST_CELLS
        return self.spent.setdefault((tenant, day, hours), DaySums(most))

    def spend(self, tenant: str, names: Names, usage: Usage, at_ms: int, facts: Facts) -> None:
        """Add to the roll-ups of a day and its hours."""
        day, hour = day_of(at_ms), at_ms // HOUR_MS % 24
        self.day_sums(tenant, day, hours=False).add(None, names, usage, facts)
        self.day_sums(tenant, day, hours=True).add(hour, names, usage, NO_FACTS)
