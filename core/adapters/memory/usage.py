"""UsageBook in memory."""

from collections import defaultdict
from collections.abc import Sequence

from core.adapters.memory.spending import MemorySpending
from core.costs.recording import RecordedCall


class MemoryUsageBook:
    """Counts calls made elsewhere beside those of the flows; it remembers their ids for good."""

    def __init__(self, spending: MemorySpending) -> None:
        self._spending = spending
        self._known = defaultdict[str, set[str]](set)

    async def record(self, tenant: str, calls: Sequence[RecordedCall]) -> set[str]:
        before = {call.id for call in calls} & self._known[tenant]
        for call in calls:
            if call.id not in before:
                self._spending.spend(tenant, call.names, call.usage, call.at_ms, call.facts)
                self._known[tenant].add(call.id)
        return before
