"""The budgets of tenants in memory: what they have spent and hold."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.costs.budget import (
    Budget,
    BudgetState,
    Refusal,
    Verdict,
    verdict,
)
from core.costs.recording import RecordedCall
from core.costs.rollup import Names
from core.costs.tenant_prices import TenantPrices
from core.costs.windows import UTC_ZONE, Window, Zone
from core.crews.call_ledger import Call
from core.flows import events
from core.flows.events import Event
from core.json_text import compact

Place = tuple[
    str, str, str, str
]  # of a state: tenant, budget, window (`flow|ID` is a flow's), name
_GRAVITY = list(Verdict)


@dataclass(slots=True)
class State:
    """One budget in one window under one name; `alerted` is the highest percentage of its limit that went off.

    `stopped` is the limit of which it was told that it refuses calls.
    """

    spent: int = 0
    held: int = 0
    alerted: int = 0
    limit: int = 0
    alerts: tuple[int, ...] = ()
    hooked: bool = False
    stopped: int | None = None

    def describe(self, budget: Budget) -> None:
        """Note what is needed of a budget to tell how much of it is spent."""
        if self.limit != budget.limit_nanodollars:
            self.alerted = 0
        self.limit, self.alerts = budget.limit_nanodollars, budget.alerts
        self.hooked = budget.webhook is not None


@dataclass(frozen=True, slots=True)
class Account:
    """A budget that a call counts in, and where."""

    budget: Budget
    place: Place
    until_ms: int | None


class MemoryBudgetStates:
    """What the budgets of all tenants have spent and hold."""

    def __init__(self) -> None:
        self.defined: dict[str, dict[str, Budget]] = defaultdict(dict)
        self.zones: dict[str, Zone] = {}
        self.prices: dict[str, TenantPrices] = defaultdict(TenantPrices)
        self._states: dict[Place, State] = defaultdict(State)
        self._holds: dict[str, list[Place]] = {}  # by call
        self.queued: dict[tuple[str, str], str] = {}  # alerts to send, by tenant and name
        self._waiters: list[tuple[str, asyncio.Queue[str]]] = []

    def zone(self, tenant: str) -> Zone:
        return self.zones.get(tenant, UTC_ZONE)

    def version(self, tenant: str) -> str:
        """Return what tells a tenant's budgets, time zone and prices from what they were before."""
        budgets, prices = [*self.defined[tenant].values()], self.prices[tenant].version
        return repr((budgets, self.zone(tenant), prices))

    def hold(self, call: Call, now_ms: int) -> Refusal | None:
        """Hold a call's bound in all its budgets, or in none."""
        if call.prices_version != self.prices[call.tenant].version:
            return Refusal(Verdict.REPRICED, "", 0, prices=self.prices[call.tenant])
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
        """Spend what a call cost, and hold that much less for it; return the alerts that go off."""
        alerts = list[Event]()
        for place in self._holds.get(call.id, []):
            state = self._states[place]
            state.held -= free
            state.spent += spend
            if tells:
                alerts += self._alerts(place, state)
        for tenant, waiter in self._waiters:
            if tenant == call.tenant:
                waiter.put_nowait("")
        return alerts

    def spend_elsewhere(self, tenant: str, calls: Sequence[RecordedCall]) -> list[Event]:
        """Spend what calls cost that nobody reserved; return the alerts that go off."""
        spent = dict[Place, State]()
        for call in calls:
            for account in self._accounts(tenant, call.names, None, call.at_ms):
                state = spent.setdefault(account.place, self._states[account.place])
                state.spent += call.usage.cost_nanodollars
                state.describe(account.budget)
        return [event for place, state in spent.items() for event in self._alerts(place, state)]

    def states(self, tenant: str, now_ms: int) -> list[BudgetState]:
        """Return the states of the present day and month."""
        windows = {self.zone(tenant).window(each, now_ms) for each in (Window.DAY, Window.MONTH)}
        return sorted(
            BudgetState(budget, window, name, state.spent, state.held, state.alerted, state.limit)
            for (owner, budget, window, name), state in self._states.items()
            if owner == tenant and window in windows and budget in self.defined[tenant]
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
        for budget in self.defined[tenant].values():
            name = budget.account(names, flow)
            if name is None:
                continue
            window = zone.window(budget.window, at_ms) or f"{Window.FLOW}|{flow}"
            until_ms = zone.end_ms(budget.window, at_ms)
            accounts.append(Account(budget, (tenant, budget.id, window, name), until_ms))
        return accounts

    def _alerts(self, place: Place, state: State) -> list[Event]:
        alerts = list[Event]()
        for percent in state.alerts:
            if percent > state.alerted and state.spent * 100 >= state.limit * percent:
                state.alerted = percent
                alerts += events.custom("budget_alert", _value(place, state, percent=percent))
        if state.hooked and alerts:
            self._queue(place, state, str(state.alerted), alerts[-1])
        return alerts

    def _tell_exhausted(self, account: Account, needed: int) -> None:
        """Tell the budget's address that it refuses calls, once in a window of each limit."""
        state, budget = self._states[account.place], account.budget
        if budget.webhook is None or state.stopped == budget.limit_nanodollars:
            return
        state.describe(budget)
        state.stopped = state.limit
        left = max(0, state.limit - state.spent)
        of_call = {"needed_nanodollars": needed, "left_nanodollars": left}
        [event] = events.custom("budget_exhausted", _value(account.place, state, **of_call))
        self._queue(account.place, state, "exhausted", event)

    def _queue(self, place: Place, state: State, what: str, event: Event) -> None:
        tenant, budget, window, name = place
        entry = tenant, f"~{budget}|{window}|{name}|{state.limit}|{what}"
        self.queued[entry] = compact(event)

    def _refusal(self, call: Call, accounts: list[Account]) -> Refusal | None:
        bound, needed = call.bound.cost_nanodollars, call.needed_nanodollars
        hard = [each for each in accounts if each.budget.hard]
        found, headroom = list[tuple[Verdict, Account]](), list[int]()
        for account in hard:
            state = self._states[account.place]
            left = account.budget.limit_nanodollars - state.spent
            headroom.append(left - state.held)
            said = verdict(left, left - state.held, bound, needed)
            said = Verdict.UNPRICED if call.bound.unpriced_calls else said
            if said is not None:
                found.append((said, account))
        if not found:
            return None
        gravest, account = max(found, key=lambda each: _GRAVITY.index(each[0]))
        if gravest is Verdict.EXHAUSTED:
            self._tell_exhausted(account, needed)
        room = max(0, min(headroom))
        version = self.version(call.tenant)
        return Refusal(gravest, account.budget.id, room, account.until_ms, needed, version)


def _value(place: Place, state: State, **more: int) -> dict[str, str | int]:
    """Return what is told of a budget."""
    _, budget, window, name = place
    sums = {"spent_nanodollars": state.spent, "limit_nanodollars": state.limit}
    return {"budget": budget, "window": window.partition("|")[0], "name": name, **sums, **more}


async def _each(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while True:
        yield await queue.get()
