"""Budgets: money is held before a model call and settled to its real price after it.

A reserved call is counted once, whatever happens: at its price when it is settled; at the bound it
was reserved with, as a *lost* call, when its step is begun again or its flow ends first, since nobody
can know then whether the provider was paid. An answer that comes after that corrects it. What was
counted is in the flow's usage and in the tenant's roll-ups (`core.costs.rollup`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from core.costs.budget import Budget, Refusal, TenantBudgets, Zone
from core.costs.facts import NO_FACTS, Facts
from core.costs.flow_costs import FlowCost
from core.costs.model_names import counted_name
from core.costs.rollup import NOBODY, Names
from core.costs.tally import CellSums
from core.costs.tenant_prices import Price, TenantPrices
from core.costs.usage import Usage
from core.flows.events import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One model call of a step's attempt. `number` counts the calls of the attempt from 1.

    `bound` is the most it may consume; its cost is 0 where nobody knows the model's price.
    """

    tenant: str
    flow: str
    step: str
    epoch: int
    number: int
    model: str
    crew: str
    task: str
    bound: Usage
    agent: str = NOBODY
    subject: str = NOBODY  # who launched the flow
    least_nanodollars: int | None = None  # what it costs at least to be of use; None: its bound
    prices_version: int = 0  # of the tenant's prices that its bound is reckoned with

    @property
    def names(self) -> Names:
        """The names of the cell that it is counted in."""
        return self.crew, self.task, self.agent, self.subject, counted_name(self.model)

    @property
    def needed_nanodollars(self) -> int:
        """What a budget must have left for it: its cost with the shortest answer that is of use."""
        least = self.least_nanodollars
        return self.bound.cost_nanodollars if least is None else least

    @property
    def id(self) -> str:
        """No two calls of a tenant's flows have the same."""
        return f"{self.flow}.{self.step}.{self.epoch}.{self.number}"


class BudgetBook(Protocol):
    """Port: the money of model calls.

    Both writes may be sent again after a reply was lost, and then change nothing. They raise
    FencedError when the call's step is somebody else's or its flow has ended, NotFoundError,
    UnavailableError.
    """

    async def reserve(self, call: Call) -> Refusal | None:
        """Hold the call's bound in all the budgets that it counts in; or in none, and say why.

        Raises ExpiredError when the flow's time is over.
        """
        ...

    async def settle(
        self, call: Call, usage: Usage, new_events: list[Event], facts: Facts = NO_FACTS
    ) -> None:
        """Count what a reserved call consumed, append `new_events` to the log, renew no lease.

        `facts` are added to the sums of the day, and to nothing else.

        Bumps the state version: the usage is part of the state. Of a call that was lost it counts in
        place of the bound, within a day and once; `new_events` are not appended then, and after the end of
        the flow no STATE_DELTA either. One that was never reserved cannot be any more.
        """
        ...

    def settles(self, tenant: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe to calls that give back money which a refused reservation was told is held."""
        ...

    async def prices(self, tenant: str) -> TenantPrices:
        """Return the prices that a tenant agreed on with providers."""
        ...

    def spending_pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[CellSums]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        """Yield `work` of the cells of these days (`2026-11-25`), or of their hours.

        It is done with a bounded number of cells at a time, beside the event loop.

        They come in order of days; those of one day in none, and perhaps in several pieces.
        """
        ...

    async def flow_costs(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        """Return at most `limit` flows that were created in this time and are kept, newest first.

        With `before`, those whose `order` is lower.
        """
        ...


class Budgets(Protocol):
    """Port: the budgets and prices of tenants.

    What waits for money is due at once when one of them changes. Each change returns the first
    `MOST_WOKEN` of these flows, so that workers can be woken for them.
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

    async def save_price(self, tenant: str, price: Price) -> list[str]:
        """Store a price, in place of that of its model and day. Raises ConflictError beyond MOST_PRICES.

        Calls that are reserved from now on are priced by it.
        """
        ...

    async def delete_price(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        """Remove a model's price from a day on, or all of the model. Raises NotFoundError."""
        ...

    async def all(
        self, tenant: str, budget: str | None = None, name: str | None = None
    ) -> TenantBudgets:
        """Return the budgets of a tenant, and what they have spent in the present day and month.

        With `budget`, that one alone; with `name`, only what is spent under this name.
        """
        ...
