"""AgreedPrices over Redis: a hash for each tenant, and its version among the budgets, which reserving reads."""

from core.adapters.upstash import budget_records
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.money_changes import run_change
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.scripts import money
from core.costs.tenant_prices import MOST_PRICES, TOO_MANY_PRICES, Price, TenantPrices
from core.crews.wakeups import MOST_WOKEN
from core.json_text import compact


async def read_prices(redis: Commands, keys: Keyspace, tenant: str) -> TenantPrices:
    """Return a tenant's prices."""
    return budget_records.prices(as_dict(await redis.execute(["HGETALL", keys.prices(tenant)])))


class UpstashAgreedPrices:
    """The prices of tenants. Changing one is a script, which also wakes what waits for money."""

    def __init__(self, redis: Commands, keys: Keyspace, runner: ScriptRunner) -> None:
        self._redis, self._keys, self._runner = redis, keys, runner

    async def of(self, tenant: str) -> TenantPrices:
        """Return all prices of a tenant."""
        return await read_prices(self._redis, self._keys, tenant)

    async def save(self, tenant: str, price: Price) -> list[str]:
        """Store a price."""
        return await self._change(tenant, price.model, price.since, compact(price.entry))

    async def delete(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        """Remove a price, or all of a model."""
        return await self._change(tenant, model, since, None)

    async def _change(
        self, tenant: str, model: str, since: str | None, entry: str | None
    ) -> list[str]:
        keys = self._keys
        call = money.save_price(
            keys.prices(tenant),
            keys.budgets(tenant),
            keys.budget_waits(tenant),
            keys.due(tenant),
            keys.due_index(keys.tag(tenant)),
            tenant=tenant,
            model=model,
            since=since,
            entry=entry,
            most=MOST_PRICES,
            most_woken=MOST_WOKEN,
        )
        return await run_change(self._runner, call, f"no price of {model}", TOO_MANY_PRICES)
