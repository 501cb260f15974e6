"""The budgets of tenants in memory."""

from core.adapters.memory.flows import MemoryFlows
from core.costs.budget import (
    ANOTHER_SCOPE,
    MOST_BUDGETS,
    TOO_MANY,
    Budget,
    TenantBudgets,
    dearest,
)
from core.costs.windows import Zone
from core.errors import ConflictError, NotFoundError


class MemoryBudgets:
    """Budgets over the flows whose calls count in them."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def save(self, tenant: str, budget: Budget) -> list[str]:
        known = self._flows.budgets.defined[tenant]
        if budget.id not in known and len(known) >= MOST_BUDGETS:
            raise ConflictError(TOO_MANY)
        if budget.id in known and known[budget.id].scope is not budget.scope:
            raise ConflictError(ANOTHER_SCOPE)
        before = known.get(budget.id)
        known[budget.id] = budget
        gives = before is not None and budget.may_give_more_than(before)
        return self._flows.wake_for_money(tenant) if gives else []

    async def delete(self, tenant: str, budget: str) -> list[str]:
        if self._flows.budgets.defined[tenant].pop(budget, None) is None:
            raise NotFoundError(f"no budget {budget}")
        return self._flows.wake_for_money(tenant)

    async def save_zone(self, tenant: str, zone: Zone) -> list[str]:
        before, self._flows.budgets.zones[tenant] = self._flows.budgets.zones.get(tenant), zone
        return [] if before == zone else self._flows.wake_for_money(tenant)

    async def all(
        self, tenant: str, budget: str | None = None, name: str | None = None
    ) -> TenantBudgets:
        states = self._flows.budgets
        known = states.defined[tenant].values()
        budgets = sorted((b for b in known if budget in (None, b.id)), key=lambda each: each.id)
        ids = {each.id for each in budgets}
        present = states.states(tenant, self._flows.now_ms())
        asked = (s for s in present if s.budget in ids and name in (None, s.name))
        shown, cut = dearest(asked)
        return TenantBudgets(states.zone(tenant), tuple(budgets), tuple(shown), frozenset(cut))
