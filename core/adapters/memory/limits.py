"""The budgets of tenants in memory: what they have spent and hold."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.costs.budget import (
    UTC_ZONE,
    Budget,
    BudgetState,
    Refusal,
    Verdict,
    Window,
    Zone,
    verdict,
)
from core.costs.recording import RecordedCall
from core.costs.rollup import Names
from core.costs.tenant_prices import TenantPrices
from core.crews.budgets import Call
from core.flows import events
from core.flows.events import Event
from core.json_text import compact

Place = tuple[
    str, str, str, str
]  # of a state: tenant, budget, window (`flow|ID` is a flow's), name
_GRAVITY = list(Verdict)


@dataclass(slots=True)
class State:
    """One budget in one window under one name; `told` is the highest percentage that was told."""

    spent: int = 0
    held: int = 0
    told: int = 0
    limit: int = 0
    alerts: tuple[int, ...] = ()
    hooked: bool = False

    def describe(self, budget: Budget) -> None:
        """Note what is needed of a budget to tell how much of it is spent."""
        self.limit, self.alerts = budget.limit_nanodollars, budget.alerts
        self.hooked = budget.webhook is not None


@dataclass(frozen=True, slots=True)
class Account:
    """A budget that a call counts in, and where."""

    budget: Budget
    place: Place
    until_ms: int | None


class MemoryBudgets:
    """What the budgets of all tenants have spent and hold."""

    def __init__(self) -> None:
        self.budgets: dict[str, dict[str, Budget]] = defaultdict(dict)
        self.zones: dict[str, Zone] = {}
        self.prices: dict[str, TenantPrices] = defaultdict(TenantPrices)
        self._states: dict[Place, State] = defaultdict(State)
        self._holds: dict[str, list[Place]] = {}  # by call
        self.queued: dict[tuple[str, str], str] = {}  # alerts to send, by tenant and name
        self._waiters: list[tuple[str, asyncio.Queue[str]]] = []

    def zone(self, tenant: str) -> Zone:
        return self.zones.get(tenant, UTC_ZONE)

    def hold(self, call: Call, now_ms: int) -> Refusal | None:
        """Hold a call's bound in all its budgets, or in none."""
        if call.prices_version != self.prices[call.tenant].version:
            return Refusal(Verdict.REPRICED, "", 0)
        accounts = self._accounts(call.tenant, call.names, call.flow, now_ms)
        if (refusal := self._refusal(call, accounts)) is not None:
            return refusal
        for account in accounts:
            state = self._states[account.place]
            state.held += call.bound.cost_nanodollars
            state.describe(account.budget)
        self._holds[call.id] = [account.place for account in accounts]
        return None

    def spend(self, call: Call, free: int, spend: int, *, tells: bool = True) -> list[Event]:
        """Spend what a call cost, and hold that much less for it; return what is to be told."""
        told = list[Event]()
        for place in self._holds.get(call.id, []):
            state = self._states[place]
            state.held -= free
            state.spent += spend
            if tells:
                told += self._alerts(place, state)
        for tenant, waiter in self._waiters:
            if tenant == call.tenant:
                waiter.put_nowait("")
        return told

    def spend_elsewhere(self, tenant: str, call: RecordedCall) -> list[Event]:
        """Spend what a call cost that nobody reserved; return what is to be told."""
        told = list[Event]()
        for account in self._accounts(tenant, call.names, None, call.at_ms):
            state = self._states[account.place]
            state.spent += call.usage.cost_nanodollars
            state.describe(account.budget)
            told += self._alerts(account.place, state)
        return told

    def states(self, tenant: str, now_ms: int) -> list[BudgetState]:
        """Return the states of the present day and month."""
        windows = {self.zone(tenant).window(each, now_ms) for each in (Window.DAY, Window.MONTH)}
        return sorted(
            BudgetState(budget, window, name, state.spent, state.held, state.told)
            for (owner, budget, window, name), state in self._states.items()
            if owner == tenant and window in windows and budget in self.budgets[tenant]
        )

    @asynccontextmanager
    async def settles(self, tenant: str) -> AsyncGenerator[AsyncIterator[str]]:
        waiter = tenant, asyncio.Queue[str]()
        self._waiters.append(waiter)
        try:
            yield _each(waiter[1])
        finally:
            self._waiters.remove(waiter)

    def _accounts(self, tenant: str, names: Names, flow: str | None, at_ms: int) -> list[Account]:
        """Return the budgets that a call counts in; one made elsewhere is of no flow."""
        zone, accounts = self.zone(tenant), list[Account]()
        for budget in self.budgets[tenant].values():
            name = budget.account(names, flow)
            if name is None:
                continue
            window = zone.window(budget.window, at_ms) or f"{Window.FLOW}|{flow}"
            until_ms = zone.end_ms(budget.window, at_ms)
            accounts.append(Account(budget, (tenant, budget.id, window, name), until_ms))
        return accounts

    def _alerts(self, place: Place, state: State) -> list[Event]:
        told, (tenant, budget, window, name) = list[Event](), place
        for percent in state.alerts:
            if percent > state.told and state.spent * 100 >= state.limit * percent:
                state.told = percent
                value = {
                    "budget": budget,
                    "window": window.partition("|")[0],
                    "name": name,
                    "percent": percent,
                    "spent_nanodollars": state.spent,
                    "limit_nanodollars": state.limit,
                }
                told += events.custom("budget_alert", value)
                if state.hooked:
                    queued = tenant, f"~{budget}|{window}|{name}|{percent}"
                    self.queued[queued] = compact(told[-1])
        return told

    def _refusal(self, call: Call, accounts: list[Account]) -> Refusal | None:
        bound, least = call.bound.cost_nanodollars, call.least_nanodollars
        hard = [each for each in accounts if each.budget.hard]
        found, headroom = list[tuple[Verdict, Account]](), list[int]()
        for account in hard:
            state = self._states[account.place]
            left = account.budget.limit_nanodollars - state.spent
            headroom.append(left - state.held)
            said = verdict(left, left - state.held, bound, bound if least is None else least)
            said = Verdict.UNPRICED if call.bound.unpriced_calls else said
            if said is not None:
                found.append((said, account))
        if not found:
            return None
        gravest, account = max(found, key=lambda each: _GRAVITY.index(each[0]))
        return Refusal(gravest, account.budget.id, max(0, min(headroom)), account.until_ms)


async def _each(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while True:
        yield await queue.get()
