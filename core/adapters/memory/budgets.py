"""The money of model calls in memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from core import cpu
from core.adapters.memory.flows import MemoryFlows
from core.costs.budget import (
    ANOTHER_SCOPE,
    MOST_BUDGETS,
    TOO_MANY,
    Budget,
    Refusal,
    TenantBudgets,
    Zone,
    dearest,
)
from core.costs.facts import NO_FACTS, Facts
from core.costs.flow_costs import FlowCost
from core.costs.rollup import NOBODY
from core.costs.tally import PIECE_CELLS, CellSums, cell_sums
from core.costs.tenant_prices import MOST_PRICES, TOO_MANY_PRICES, Price, TenantPrices
from core.costs.usage import Usage
from core.crews.budgets import Call
from core.crews.ledger import FencedError
from core.errors import ConflictError, NotFoundError
from core.flows.events import Event

T = TypeVar("T")


class MemoryBudgetBook:
    """BudgetBook and Budgets over the flows it shares with the ledger."""

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
        if (refusal := self._flows.limits.hold(call, now)) is not None:
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
        self._flows.correct_lost(record, call.id, usage, call.tenant, facts)
        step = record.held(call.step, call.epoch)
        if record.ended:
            raise FencedError
        if step.state == "running":  # a reservation that is still under way comes too late
            record.numbers[call.step].add(call.number)

    async def spending_pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[CellSums]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        cells = self._flows.spending(tenant, days, hours=hours)
        sums = [cell_sums(cell) for cell in cells]
        for at in range(0, len(sums), PIECE_CELLS):
            yield await cpu.run(tenant, work, sums[at : at + PIECE_CELLS])

    async def flow_costs(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        found = [
            FlowCost(
                r.flow.id,
                r.flow.crew,
                r.flow.launched_by or NOBODY,
                r.flow.created_ms,
                r.order,
                r.flow.usage,
            )
            for r in self._flows.newest(tenant, before)
            if since_ms <= r.flow.created_ms < until_ms
        ]
        return found[:limit]

    def settles(self, tenant: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._flows.limits.settles(tenant)

    async def save(self, tenant: str, budget: Budget) -> list[str]:
        known = self._flows.limits.budgets[tenant]
        if budget.id not in known and len(known) >= MOST_BUDGETS:
            raise ConflictError(TOO_MANY)
        if budget.id in known and known[budget.id].scope is not budget.scope:
            raise ConflictError(ANOTHER_SCOPE)
        known[budget.id] = budget
        return self._flows.wake_for_money(tenant)

    async def delete(self, tenant: str, budget: str) -> list[str]:
        if self._flows.limits.budgets[tenant].pop(budget, None) is None:
            raise NotFoundError(f"no budget {budget}")
        return self._flows.wake_for_money(tenant)

    async def save_zone(self, tenant: str, zone: Zone) -> list[str]:
        self._flows.limits.zones[tenant] = zone
        return self._flows.wake_for_money(tenant)

    async def prices(self, tenant: str) -> TenantPrices:
        return self._flows.limits.prices[tenant]

    async def save_price(self, tenant: str, price: Price) -> list[str]:
        others = self._prices_but(tenant, price.model, price.since)
        if len(others) >= MOST_PRICES:
            raise ConflictError(TOO_MANY_PRICES)
        return self._keep_prices(tenant, [*others, price])

    async def delete_price(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        others = self._prices_but(tenant, model, since)
        if len(others) == len((await self.prices(tenant)).prices):
            raise NotFoundError(f"no price of {model}")
        return self._keep_prices(tenant, others)

    def _prices_but(self, tenant: str, model: str, since: str | None) -> list[Price]:
        known = self._flows.limits.prices[tenant].prices
        return [p for p in known if p.model != model or since not in (None, p.since)]

    def _keep_prices(self, tenant: str, prices: list[Price]) -> list[str]:
        version = self._flows.limits.prices[tenant].version + 1
        in_order = tuple(sorted(prices, key=lambda each: (each.model, each.since)))
        self._flows.limits.prices[tenant] = TenantPrices(version, in_order)
        return self._flows.wake_for_money(tenant)

    async def all(
        self, tenant: str, budget: str | None = None, name: str | None = None
    ) -> TenantBudgets:
        limits = self._flows.limits
        known = limits.budgets[tenant].values()
        budgets = sorted((b for b in known if budget in (None, b.id)), key=lambda each: each.id)
        ids = {each.id for each in budgets}
        states = limits.states(tenant, self._flows.now_ms())
        asked = (s for s in states if s.budget in ids and name in (None, s.name))
        shown, cut = dearest(asked)
        return TenantBudgets(limits.zone(tenant), tuple(budgets), tuple(shown), frozenset(cut))
