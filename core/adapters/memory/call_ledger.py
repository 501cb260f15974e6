"""The model calls of flows in memory, and the money that is held for them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from core.adapters.memory.flows import MemoryFlows
from core.costs.budget import Refusal
from core.costs.facts import NO_FACTS, Facts
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import FencedError
from core.flows.events import Event


class MemoryCallLedger:
    """CallLedger over the flows it shares with the run ledger."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def reserve(self, call: Call) -> Refusal | None:
        record = self._flows.record(call.tenant, call.flow)
        step = record.held(call.step, call.epoch)
        if step.state != "running":
            raise FencedError
        if call.number in record.numbers[call.step]:
            return None
        record.check_time(now := self._flows.now_ms())
        if (refusal := self._flows.budgets.hold(call, now)) is not None:
            return refusal
        record.numbers[call.step].add(call.number)
        record.calls[call.id] = call
        return None

    async def settle(
        self, call: Call, usage: Usage, new_events: list[Event], facts: Facts = NO_FACTS
    ) -> None:
        record = self._flows.record(call.tenant, call.flow)
        known = record.calls.pop(call.id, None)
        if known is not None:
            self._flows.count(record, known, usage, call.tenant, facts)
            record.change(new_events, self._flows.now_ms())
            return
        if self._flows.correct_lost(record, call.id, usage, call.tenant, facts):
            self._flows.wake_for_money(call.tenant)
        step = record.held(call.step, call.epoch)
        if record.ended:
            raise FencedError
        if step.state == "running":  # a reservation that is still under way comes too late
            record.numbers[call.step].add(call.number)

    def settles(self, tenant: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._flows.budgets.settles(tenant)
