"""The money of model calls in memory."""

from collections.abc import Sequence

from core.adapters.memory.flows import MemoryFlows
from core.costs.rollup import Cell
from core.costs.usage import Usage
from core.crews.budgets import Call
from core.crews.ledger import FencedError
from core.flows.events import Event


class MemoryBudgetBook:
    """BudgetBook over the flows it shares with the ledger."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def reserve(self, call: Call) -> None:
        record = self._flows.record(call.tenant, call.flow)
        step = record.held(call.step, call.epoch)
        if step.state != "running":
            raise FencedError
        if call.number in record.numbers[call.step]:
            return
        record.check_time(self._flows.now_ms())
        record.numbers[call.step].add(call.number)
        record.calls[call.id] = call

    async def settle(self, call: Call, usage: Usage, told: list[Event]) -> None:
        record = self._flows.record(call.tenant, call.flow)
        known = record.calls.pop(call.id, None)
        if known is not None:
            self._flows.count(record, known, usage, call.tenant)
            record.change(told, self._flows.now_ms())
            return
        self._flows.correct_lost(record, call.id, usage, call.tenant)
        record.held(call.step, call.epoch)
        if record.ended:
            raise FencedError

    async def spending(
        self, tenant: str, days: Sequence[str], *, hours: bool = False
    ) -> list[Cell]:
        return self._flows.spending(tenant, days, hours=hours)
