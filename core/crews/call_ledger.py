"""Calls: money is held before a model call and settled to its real price after it.

A reserved call is counted once, whatever happens: at its price when it is settled; at the bound it
was reserved with, as a *lost* call, when its step is begun again or its flow ends first, since nobody
can know then whether the provider was paid. An answer that comes after that corrects it. What was
counted is in the flow's usage and in the tenant's roll-ups (`core.costs.rollup`).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from core.costs.budget import Refusal
from core.costs.facts import NO_FACTS, Facts
from core.costs.model_names import counted_name
from core.costs.rollup import NOBODY, Names
from core.costs.usage import Usage
from core.flows.events import Event


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


class CallLedger(Protocol):
    """Port: the model calls of flows, and the money that is held and counted for them.

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
