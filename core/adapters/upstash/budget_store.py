"""Budgets over Redis: what is defined, and what is spent of it."""

from core.adapters.upstash import budget_records, scripts
from core.adapters.upstash.calls import ScriptCall, ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.costs.budget import (
    MOST_BUDGETS,
    TOO_MANY,
    UTC_ZONE,
    Budget,
    TenantBudgets,
    Window,
    Zone,
    months_around,
)
from core.costs.tenant_prices import MOST_PRICES, TOO_MANY_PRICES, Price
from core.crews.wakeups import MOST_WOKEN
from core.errors import ConflictError, NotFoundError
from core.json_text import compact


class UpstashBudgets:
    """The budgets of tenants. Changing one is a script, which also wakes what waits for money."""

    def __init__(
        self, redis: Commands, keys: Keyspace | None = None, runner: ScriptRunner | None = None
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._runner = runner or ScriptRunner(redis)

    async def save(self, tenant: str, budget: Budget) -> list[str]:
        """Store a budget."""
        return await self._save(tenant, budget.id, budget_records.definition(budget))

    async def delete(self, tenant: str, budget: str) -> list[str]:
        """Remove a budget."""
        return await self._save(tenant, budget, None)

    async def save_zone(self, tenant: str, zone: Zone) -> list[str]:
        """Store a tenant's time zone."""
        return await self._save(tenant, budget_records.ZONE, budget_records.zone_text(zone))

    async def save_price(self, tenant: str, price: Price) -> list[str]:
        """Store a price."""
        return await self._save_price(tenant, price.model, price.since, compact(price.entry))

    async def delete_price(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        """Remove a price, or all of a model."""
        return await self._save_price(tenant, model, since, None)

    async def all(self, tenant: str) -> TenantBudgets:
        """Return a tenant's budgets and what they have spent: two requests."""
        time, stored = await self._redis.pipeline(
            [["TIME"], ["HGETALL", self._keys.budgets(tenant)]]
        )
        found, now_ms = as_dict(stored), int(time[0]) * 1000
        zone = found.pop(budget_records.ZONE, None)
        found.pop(budget_records.PRICES, None)
        zone = UTC_ZONE if zone is None else budget_records.zone(zone)
        budgets = [budget_records.budget(name, text) for name, text in sorted(found.items())]
        keys = [self._keys.budgets(tenant, month) for month in months_around(now_ms)]
        replies = await self._redis.pipeline([["HGETALL", key] for key in keys])
        windows = {zone.window(each, now_ms) for each in (Window.DAY, Window.MONTH)}
        states = [
            budget_records.state(field, text)
            for reply in replies
            for field, text in as_dict(reply).items()
        ]
        shown = sorted(each for each in states if each.window in windows and each.budget in found)
        return TenantBudgets(zone, tuple(budgets), tuple(shown))

    async def _save_price(
        self, tenant: str, model: str, since: str | None, entry: str | None
    ) -> list[str]:
        keys = self._keys
        call = scripts.save_price(
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
        return await self._run(call, f"no price of {model}", TOO_MANY_PRICES)

    async def _save(self, tenant: str, name: str, definition: str | None) -> list[str]:
        keys = self._keys
        call = scripts.save_budget(
            keys.budgets(tenant),
            keys.budget_waits(tenant),
            keys.due(tenant),
            keys.due_index(keys.tag(tenant)),
            tenant=tenant,
            name=name,
            definition=definition,
            most=MOST_BUDGETS,
            most_woken=MOST_WOKEN,
        )
        return await self._run(call, f"no budget {name}", TOO_MANY)

    async def _run(self, call: ScriptCall, lacking: str, too_many: str) -> list[str]:
        match await self._runner.run(call):
            case ["not_found"]:
                raise NotFoundError(lacking)
            case ["too_many"]:
                raise ConflictError(too_many)
            case [_, woken]:
                return woken
            case reply:
                raise AssertionError(reply)
