"""A session of a step that keeps all that it is told, and the books."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from core.costs.facts import NO_FACTS, Facts
from core.costs.tenant_prices import TenantPrices
from core.costs.usage import Usage
from core.crews.crew_runner import PricesChangedError, ShortOfMoneyError
from core.crews.journal import NoJournals, StepJournal
from core.crews.ledger import Claim
from core.flows.events import Event
from core.flows.values import INLINE

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
CLAIM = Claim("acme", "f1", "one", 1)


@dataclass
class Recorder:
    """A session that keeps everything, checks each event against AG-UI, and keeps the books.

    `before` is called with the method's name at the beginning of each: to raise, or to wait.
    """

    events: list[Event] = field(default_factory=list[Event])
    reserved: list[tuple[str, Usage]] = field(default_factory=list[tuple[str, Usage]])
    settled: dict[str, Usage] = field(default_factory=dict[str, Usage])
    calls: list[str] = field(default_factory=list[str])  # of its methods, in order
    before: Callable[[str], None] = lambda _method: None
    messages: int = 0
    headroom: int | None = None  # what a budget has room for, in nano-dollars
    least: list[int | None] = field(default_factory=list[int | None])  # that each call asked for
    prices: TenantPrices = field(default_factory=TenantPrices)  # of its own
    bounded: bool = True  # no call may cost more than was held
    facts: list[Facts] = field(default_factory=list[Facts])  # of each settled call

    @cached_property
    def journal(self) -> StepJournal:
        return StepJournal(NoJournals(), INLINE, CLAIM, "i", {})

    def post(self, told: list[Event]) -> None:
        self._called("post")
        self._keep(told)

    def message_id(self) -> str:
        self.messages += 1
        return f"f1.one.1.{self.messages}"

    def reserve(
        self,
        model: str,
        bound: Usage,
        *,
        least_nanodollars: int | None = None,
        prices_version: int = 0,
    ) -> str:
        self._called("reserve")
        if prices_version != self.prices.version:
            raise PricesChangedError(self.prices)
        self.least.append(least_nanodollars)
        if self.headroom is not None and bound.cost_nanodollars > self.headroom:
            raise ShortOfMoneyError(self.headroom, "team")
        self.reserved.append((model, bound))
        return str(len(self.reserved) - 1)

    def settle(self, call: str, usage: Usage, told: list[Event], facts: Facts = NO_FACTS) -> None:
        self._called("settle")
        self.facts.append(facts)
        _, bound = self.reserved[int(call)]
        assert call not in self.settled
        if self.bounded:
            assert usage.cost_nanodollars <= bound.cost_nanodollars
            assert usage.input_tokens <= bound.input_tokens
            assert usage.output_tokens <= bound.output_tokens
        self.settled[call] = usage
        self._keep(told)

    @property
    def usages(self) -> list[Usage]:
        """What was settled, in the order of the reservations."""
        return [self.settled[call] for call in sorted(self.settled, key=int)]

    @property
    def lost(self) -> int:
        """How many reserved calls were never settled."""
        return len(self.reserved) - len(self.settled)

    def _called(self, method: str) -> None:
        self.before(method)
        self.calls.append(method)

    def _keep(self, told: list[Event]) -> None:
        for event in told:
            AG_UI.validate_python(json.loads(json.dumps(event, allow_nan=False)))
        self.events += told
