"""The prices of tenants in memory."""

from core.adapters.memory.flows import MemoryFlows
from core.costs.tenant_prices import MOST_PRICES, TOO_MANY_PRICES, Price, TenantPrices
from core.errors import ConflictError, NotFoundError


class MemoryAgreedPrices:
    """AgreedPrices over the flows whose calls are priced by them."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def of(self, tenant: str) -> TenantPrices:
        return self._flows.budgets.prices[tenant]

    async def save(self, tenant: str, price: Price) -> list[str]:
        others = self._others(tenant, price.model, price.since)
        if len(others) >= MOST_PRICES:
            raise ConflictError(TOO_MANY_PRICES)
        return self._keep(tenant, [*others, price])

    async def delete(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        others = self._others(tenant, model, since)
        if len(others) == len((await self.of(tenant)).prices):
            raise NotFoundError(f"no price of {model}")
        return self._keep(tenant, others)

    def _others(self, tenant: str, model: str, since: str | None) -> list[Price]:
        known = self._flows.budgets.prices[tenant].prices
        return [p for p in known if p.model != model or since not in (None, p.since)]

    def _keep(self, tenant: str, prices: list[Price]) -> list[str]:
        version = self._flows.budgets.prices[tenant].version + 1
        in_order = tuple(sorted(prices, key=lambda each: (each.model, each.since)))
        self._flows.budgets.prices[tenant] = TenantPrices(version, in_order)
        return self._flows.wake_for_money(tenant)
