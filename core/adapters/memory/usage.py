"""UsageBook in memory."""

from collections import defaultdict
from collections.abc import Sequence

from core.adapters.memory.spending import MemorySpending
from core.costs.recording import NotNew, Recorded, RecordedCall, batch_digest


class MemoryUsageBook:
    """Counts calls made elsewhere beside those of the flows; it remembers their ids for good."""

    def __init__(self, spending: MemorySpending) -> None:
        self._spending = spending
        self._known = defaultdict[str, dict[str, tuple[str, str, int | None]]](
            dict
        )  # id -> call, batch, cost

    async def record(self, tenant: str, calls: Sequence[RecordedCall]) -> Recorded:
        fates, new, costs = dict[str, NotNew](), list[RecordedCall](), dict[str, int | None]()
        known, batch = self._known[tenant], batch_digest(calls)
        for call in calls:
            if call.id not in known:
                self._spending.spend(tenant, call.names, call.usage, call.at_ms, call.facts)
                new.append(call)
                cost = None if call.usage.unpriced_calls else call.usage.cost_nanodollars
                known[call.id] = call.digest, batch, cost
            elif known[call.id][:2] == (call.digest, batch):
                costs[call.id] = known[call.id][2]
            else:
                fates[call.id] = "known" if known[call.id][0] == call.digest else "conflict"
        alerts = self._spending.budgets.spend_elsewhere(tenant, new)
        return Recorded(fates, [event["value"] for event in alerts], costs)
