"""What flows in memory have spent."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from core.adapters.memory.log import MemoryLog
from core.adapters.memory.records import Record
from core.costs.usage import Usage
from core.crews import clock
from core.crews.budgets import Call

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
            used = call.bound + Usage(lost_calls=1)
            self.count(record, call, used, tenant)
            record.lost[call.id] = (call, used, self._today())

    def correct_lost(self, record: Record, call_id: str, usage: Usage, tenant: str) -> None:
        """Count what a lost call consumed after all in place of its bound, once."""
        if call_id in record.lost:
            call, bound, day = record.lost.pop(call_id)
            self._spend(call, usage - bound, tenant, day)
            record.correct(usage - bound, self._now_ms())

    def count(self, record: Record, call: Call, usage: Usage, tenant: str) -> None:
        """Add what a call consumed to its flow and to the roll-up of the day."""
        record.use(usage)
        self._spend(call, usage, tenant, self._today())

    def _spend(self, call: Call, usage: Usage, tenant: str, day: str) -> None:
        spent, of = self.spent[tenant, day], (call.model, call.crew, call.task)
        spent[of] = spent.get(of, Usage()) + usage

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now_ms() / 1000, UTC).date().isoformat()
