"""What flows in memory have spent."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from core.adapters.memory.log import MemoryLog
from core.adapters.memory.records import Record
from core.costs.budgets import Call
from core.costs.usage import Usage
from core.crews import clock

Spent = dict[tuple[str, str, str], Usage]  # by model, crew and task


class MemorySpending(MemoryLog):
    """Counts calls: `spent` is what they consumed, by tenant and day of the store's clock."""

    def __init__(self, now_ms: Callable[[], int] = clock.now_ms) -> None:
        super().__init__()
        self._now_ms = now_ms
        self.spent: dict[tuple[str, str], Spent] = defaultdict(dict)

    def now_ms(self) -> int:
        """Return the store's time."""
        return self._now_ms()

    def count_lost(self, tenant: str, record: Record, step: str | None = None) -> None:
        """Count the calls under way of a step, or of all, at their bounds."""
        for call in record.lose(step):
            self.count(record, call, call.bound + Usage(lost_calls=1), tenant)

    def count(self, record: Record, call: Call, usage: Usage, tenant: str) -> None:
        """Add what a call consumed to its flow and to the roll-up of the day."""
        record.use(usage)
        day = datetime.fromtimestamp(self._now_ms() / 1000, UTC).date().isoformat()
        spent, of = self.spent[tenant, day], (call.model, call.crew, call.task)
        spent[of] = spent.get(of, Usage()) + usage
