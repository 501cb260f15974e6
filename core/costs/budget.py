"""Budgets: how much money may be spent in a window of time, and on what.

A *hard* budget refuses a call that it has no room for; a *soft* one only tells. Every budget that a
call counts in must have room for it, or the call holds nothing at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.costs.rollup import NAMED, Names
from core.costs.tenant_prices import NO_PRICES, TenantPrices
from core.costs.windows import Window, Zone

MOST_BUDGETS = 50  # of a tenant
MOST_STATES = 100  # that are told of a budget: those that have most of it
TOO_MANY = f"a tenant has {MOST_BUDGETS} budgets at most"
ANOTHER_SCOPE = (
    "a budget keeps its scope, since what it has spent is of that: set one of another id"
)
EACH = "*"
ALERTS = (50, 80, 100)


class Scope(StrEnum):
    """What a budget is for: all, one of the names that a call is counted under (NAMED), or one flow."""

    TENANT = "tenant"
    CREW = "crew"
    AGENT = "agent"
    MODEL = "model"
    SUBJECT = "subject"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit. `name` is which crew, agent and so on, or `*`: each by itself.

    `alerts` are the percentages of the limit at which it is told that they are spent, and `webhook` is
    the address that is told, beside the flow whose call it was.
    """

    id: str
    scope: Scope
    window: Window
    limit_nanodollars: int
    name: str = EACH
    hard: bool = True
    alerts: tuple[int, ...] = ALERTS
    webhook: str | None = None

    @property
    def only_account(self) -> str | None:
        """Return the one name that calls count under; None where there may be many."""
        if self.scope is Scope.TENANT:
            return ""
        return None if self.name == EACH else self.name

    def may_give_more_than(self, before: "Budget") -> bool:
        """Tell whether a call may fit that did not when the budget was what it was `before`."""
        is_other = (self.name, self.window) != (before.name, before.window)
        is_softer = before.hard and not self.hard
        return is_other or is_softer or self.limit_nanodollars > before.limit_nanodollars

    def account(self, names: Names, flow: str | None) -> str | None:
        """Return the name that a call of these names counts under; None where it does not count.

        A call that was made elsewhere is of no flow.
        """
        if flow is None and self.window is Window.FLOW:
            return None
        values = dict(zip(NAMED, names, strict=True)) | {Scope.TENANT: "", Scope.FLOW: flow or ""}
        value = values[self.scope]
        return value if self.scope is Scope.TENANT or self.name in (EACH, value) else None


@dataclass(frozen=True, slots=True, order=True)
class BudgetState:
    """What a budget has spent and holds in one window (`2026-11-27`, `2026-11`), under one name.

    `alerted_percent` is the highest of its alerts that went off there; 0 for none. It is of the limit
    `alerted_limit`: of another one none has gone off. None: none ever did.
    """

    budget: str
    window: str
    name: str
    spent_nanodollars: int
    held_nanodollars: int
    alerted_percent: int = 0
    alerted_limit: int | None = field(default=None, compare=False)


class Verdict(StrEnum):
    """Why a call may not be made for now, from the mildest to the gravest."""

    SHORT = "short"  # with fewer output tokens it might
    HELD = "held"  # it would fit if other calls gave back what they hold
    EXHAUSTED = "exhausted"  # it would not fit even then
    UNPRICED = "unpriced"  # nobody knows what it costs
    REPRICED = "repriced"  # the tenant's prices are others now: price it anew, and ask again


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not be made, and which budget says so.

    `headroom_nanodollars` is what all budgets have room for, `needed_nanodollars` what the call needs.
    `until_ms` is when the window of an exhausted budget ends; None for that of a flow, which does not. No
    budget says REPRICED; `prices` are then those to price the call by. `budgets_version` tells the tenant's
    budgets from what they may be when a flow begins to wait for them.
    """

    verdict: Verdict
    budget: str
    headroom_nanodollars: int
    until_ms: int | None = None
    needed_nanodollars: int = 0
    budgets_version: str | None = field(default=None, compare=False)
    prices: TenantPrices = NO_PRICES


def verdict(left: int, free: int, bound: int, least: int) -> Verdict | None:
    """Return what a hard budget says to a call of this bound; None where it has room.

    `left` is what is not spent, `free` what of that nobody holds, `least` what the call costs if its
    answer is as short as is of use.
    """
    if bound <= free:
        return None
    if bound <= left:
        return Verdict.HELD
    if least <= free:
        return Verdict.SHORT
    return Verdict.HELD if least <= left else Verdict.EXHAUSTED


@dataclass(frozen=True, slots=True)
class TenantBudgets:
    """A tenant's budgets, by id, and what they have spent in the present day and month.

    Of a budget that each name has by itself, the MOST_STATES that have spent and hold most, and they
    first; `cut` are the budgets of which there are more.
    """

    zone: Zone
    budgets: tuple[Budget, ...]
    states: tuple[BudgetState, ...]
    cut: frozenset[str] = frozenset()


def dearest(states: Iterable[BudgetState]) -> tuple[list[BudgetState], set[str]]:
    """Return the MOST_STATES of each budget that have most of it, they first; and whose are left out."""
    of_budgets: dict[str, list[BudgetState]] = {}
    for state in sorted(states, key=_dearest_first):
        of_budgets.setdefault(state.budget, []).append(state)
    kept = [state for found in of_budgets.values() for state in found[:MOST_STATES]]
    return kept, {budget for budget, found in of_budgets.items() if len(found) > MOST_STATES}


def _dearest_first(state: BudgetState) -> tuple[str, int, str]:
    return state.budget, -state.spent_nanodollars - state.held_nanodollars, state.name


class Budgets(Protocol):
    """Port: the budgets of tenants.

    What waits for money is due at once when one of them changes so that there may be some. Each change
    returns the first `MOST_WOKEN` of these flows, so that workers can be woken for them.
    """

    async def save(self, tenant: str, budget: Budget) -> list[str]:
        """Store a budget, in place of that of its id, which had the same scope.

        Raises ConflictError for another scope, and beyond MOST_BUDGETS.

        What it has spent in the present window stays.
        """
        ...

    async def delete(self, tenant: str, budget: str) -> list[str]:
        """Remove a budget. Raises NotFoundError."""
        ...

    async def save_zone(self, tenant: str, zone: Zone) -> list[str]:
        """Store in which time zone the tenant's days and months begin; without one in UTC."""
        ...

    async def all(
        self, tenant: str, budget: str | None = None, name: str | None = None
    ) -> TenantBudgets:
        """Return the budgets of a tenant, and what they have spent in the present day and month.

        With `budget`, that one alone; with `name`, only what is spent under this name.
        """
        ...
