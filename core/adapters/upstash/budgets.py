"""Budgets over Redis: what is defined, and what is spent of it."""

from collections.abc import Mapping, Sequence
from functools import partial

from core import cpu
from core.adapters.upstash import budget_records
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands, at_leader
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.money_changes import run_change
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.scripts import money
from core.costs.budget import (
    MOST_BUDGETS,
    TOO_MANY,
    Budget,
    BudgetState,
    TenantBudgets,
    dearest,
)
from core.costs.windows import UTC_ZONE, Window, Zone
from core.crews.wakeups import MOST_WOKEN

SCANNED = 4_000  # fields that Redis looks at for one answer: about a millisecond


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

    async def all(
        self, tenant: str, budget: str | None = None, name: str | None = None
    ) -> TenantBudgets:
        """Return a tenant's budgets and what they have spent: two requests, and more for many names."""
        time, stored = await self._redis.pipeline(
            [["TIME"], ["HGETALL", self._keys.budgets(tenant)]]
        )
        found, now_ms = as_dict(stored), int(time[0]) * 1000
        zone = found.pop(budget_records.ZONE, None)
        found.pop(budget_records.PRICES, None)
        zone = UTC_ZONE if zone is None else budget_records.zone(zone)
        budgets = [
            budget_records.budget(each, text)
            for each, text in sorted(found.items())
            if budget in (None, each)
        ]
        single, many = _places(budgets, zone, now_ms, name)
        month = self._keys.budgets(tenant, zone.window(Window.MONTH, now_ms))
        shown, cut = await self._states(month, single), set[str]()
        for window in sorted(set(many.values())):
            more, beyond = await self._dearest(tenant, month, many, window)
            shown, cut = shown + more, cut | beyond
        return TenantBudgets(zone, tuple(budgets), tuple(dearest(shown)[0]), frozenset(cut))

    async def _states(self, month: str, fields: list[str]) -> list[BudgetState]:
        """Return the states of a month in these fields that are there."""
        if not fields:
            return []
        values = await self._redis.execute(["HMGET", month, *fields])
        pairs = zip(fields, values, strict=True)
        return [budget_records.state(field, text) for field, text in pairs if text]

    async def _dearest(
        self, tenant: str, month: str, windows: Mapping[str, str], window: str
    ) -> tuple[list[BudgetState], set[str]]:
        """Return the dearest states of each budget of this window, and which budgets have more.

        Each name that was ever counted in the month has a field: they are read in pieces, of which
        Redis leaves out other days. At the leader, since a cursor means nothing to a replica.
        """
        kept, cut, cursor = list[BudgetState](), set[str](), None
        while cursor != "0":
            scan = ["HSCAN", month, cursor or "0", "MATCH", f"*|{window}|*", "COUNT", SCANNED]
            found, flat = await self._redis.execute(at_leader(scan))
            work = partial(_dearer, windows, window, kept)
            kept, more = await cpu.run(tenant, work, flat, sum(map(len, flat)))
            cut, cursor = cut | more, str(found)
        return kept, cut

    async def _save(self, tenant: str, name: str, definition: str | None) -> list[str]:
        keys = self._keys
        call = money.save_budget(
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
        return await run_change(self._runner, call, f"no budget {name}", TOO_MANY)


def _places(
    budgets: Sequence[Budget], zone: Zone, now_ms: int, name: str | None
) -> tuple[list[str], dict[str, str]]:
    """Return the fields to read, and the windows, by budget, of those that may have many names."""
    single, many = list[str](), dict[str, str]()
    for budget in budgets:
        window, account = zone.window(budget.window, now_ms), budget.only_account
        if not window:
            continue  # what a flow has spent is with the flow
        if account is None and name is None:
            many[budget.id] = window
        elif account is None or name in (None, account):
            single.append(f"{budget.id}|{window}|{name if account is None else account}")
    return single, many


def _dearer(
    windows: Mapping[str, str], window: str, kept: Sequence[BudgetState], flat: Sequence[str]
) -> tuple[list[BudgetState], set[str]]:
    """Return the dearest of states that are kept and those of fields and values in turn."""
    read = (budget_records.state(*pair) for pair in zip(flat[::2], flat[1::2], strict=True))
    of_window = (s for s in read if s.window == window == windows.get(s.budget))
    by_name = {(each.budget, each.name): each for each in (*kept, *of_window)}
    return dearest(by_name.values())
