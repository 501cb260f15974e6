"""When flows in memory must be looked at, and who leases those that are due."""

from collections.abc import Callable

from core import time_of_day
from core.adapters.memory.due import DueSet
from core.adapters.memory.records import Record
from core.adapters.memory.spending import MemorySpending
from core.crews.ledger import LEAST_WAIT_MS
from core.crews.wakeups import MOST_WOKEN
from core.due_loop import Due

DAY_MS = 86_400_000


class MemoryAgenda(MemorySpending):
    """The due set of all tenants, and the flows that wait for money."""

    def __init__(self, now_ms: Callable[[], int] = time_of_day.now_ms) -> None:
        super().__init__(now_ms)
        self.due = DueSet()
        self.wait_for_money = set[tuple[str, str]]()

    def schedule(self, tenant: str, record: Record, now: int) -> None:
        """Have a flow looked at when that must be, by one who has looked at all of it."""
        record.plan.due = record.next_look(now)
        self.due.put(tenant, record.flow.id, record.plan.due)

    def schedule_with_slack(self, tenant: str, record: Record, now: int, slack_ms: float) -> None:
        """Do so for a change by one who has not, but at a later time only if it gains `slack_ms`."""
        at, before = record.next_look(now), record.plan.due
        if at < before or at - before > slack_ms:
            self.schedule(tenant, record, now)

    def plan(self, tenant: str, record: Record, now: int, budgets: str | None = None) -> None:
        """Say when a flow that has moved is to be looked at next; `budgets`: when it was refused money."""
        until_ms = (record.flow.waiting or {}).get("until_ms")
        until_ms = until_ms and max(until_ms, now + LEAST_WAIT_MS)
        waits_until = until_ms or record.flow.deadline_ms or now + DAY_MS
        changed = budgets not in (None, self.budgets.version(tenant))
        record.plan.look = waits_until if record.waits and not changed else now
        record.plan.seen = record.flow.head.version
        self.schedule(tenant, record, now)

    def wake_for_money(self, tenant: str) -> list[str]:
        """Have the flows that wait for money looked at now; return some of them."""
        waiting = [flow for owner, flow in self.wait_for_money if owner == tenant]
        for flow in waiting:
            self.due.put(tenant, flow, self._now_ms())
        return waiting[:MOST_WOKEN]

    def due_at(self, tenant: str, flow: str) -> int | None:
        """Return when a flow is to be looked at (ms); None for one that has ended."""
        return self.due.at(tenant, flow)

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[str]:
        return self.due.lease(self._now_ms(), limit, per_tenant, lease_ms)
