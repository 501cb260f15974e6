"""Recording: model calls that were made elsewhere, counted once each in the tenant's roll-ups.

A call is known by an id that the caller gives it; sent again within a month it changes nothing. A
batch that is sent again gets the answer that it got, or would have got; in another batch a call of
that id is known, or contradicts it. A call of which nobody says what it consumed counts at its
bound, and is marked.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, Protocol

from core.costs.facts import NO_FACTS, Facts, added, of_tokens, of_variant
from core.costs.price_lists import CHEAPER, Variant
from core.costs.prices import PriceBook, bound, priced, rates_of
from core.costs.rates import Rates
from core.costs.rollup import QUARTER_MS, Names
from core.costs.savings.siblings import smaller
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage

NotNew = Literal["known", "conflict"]
Quality = Literal["low", "high", "critical"]
MOST_CALLS = 1_000  # of one batch
DIGEST_DIGITS = 12  # hex
_KNOWN_MODELS = 1024
OLDEST_DAYS = 31  # of a call's time


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """One call as it is reported; of the names `-` stands for what nobody says.

    `tokens` are what the provider reported. Where it reported nothing, `prompt_bytes` and
    `max_output_tokens` bound what the call may have consumed.
    """

    id: str
    at_ms: int
    names: Names
    tokens: TokenCounts | None = None
    prompt_bytes: int = 0
    max_output_tokens: int | None = None
    variant: Variant = "standard"
    required_quality: Quality = "high"
    is_dated: bool = True  # the caller said when; otherwise it is when it came
    is_estimated: bool = False  # of some tokens nobody says what they were: they count as output

    @property
    def model(self) -> str:
        return self.names[-1]

    def digest(self) -> str:
        """Return what tells two calls of one id apart; the price is not of it, it may have changed."""
        when = self.at_ms if self.is_dated else None
        bounds = self.prompt_bytes, self.max_output_tokens
        return _digest(repr((when, self.names, self.tokens, *bounds, self.variant)))


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call as it is counted, at the rates it was priced with."""

    id: str
    at_ms: int
    names: Names
    usage: Usage
    rates: Rates | None
    digest: str  # of what the caller said of it
    facts: Facts = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Saving:
    """What one call would have cost less (nano-dollars) as another `variant`, or by another `model`.

    Whether another model's answer is good enough only a trial can tell: it is not `verified`.
    """

    nanodollars: int
    variant: Variant = "standard"
    model: str | None = None

    @property
    def is_verified(self) -> bool:
        return self.model is None

    def public(self) -> dict[str, Any]:
        """Return the saving as JSON."""
        what = {"variant": self.variant} if self.model is None else {"model": self.model}
        unsure = {} if self.is_verified else {"verified": False}
        return {**what, "saves_nanodollars": self.nanodollars, **unsure}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch: its calls that are not new, by id, and which budgets it spent how much of.

    An alert is what a `budget_alert` event has as its value. `costs` are of a batch that was sent again what
    its calls were counted at then (nano-dollars), None where that had no price.
    """

    not_new: Mapping[str, NotNew]
    alerts: Sequence[Mapping[str, Any]] = ()
    costs: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])

    def usage(self, call: RecordedCall) -> Usage:
        """Return what a call was counted as: prices may have changed since its batch was sent first."""
        if call.id not in self.costs:
            return call.usage
        cost = self.costs[call.id]
        lost = cost if call.usage.lost_nanodollars else 0
        counted = {"cost_nanodollars": cost or 0, "lost_nanodollars": lost or 0}
        return replace(call.usage, **counted, unpriced_calls=int(cost is None))


class UsageBook(Protocol):
    """Port: counts calls made elsewhere, in the budgets of the days in which they were made, too."""

    async def record(self, tenant: str, calls: Sequence[RecordedCall]) -> Recorded:
        """Count calls of different ids; say which of them are not new, and of which budgets to tell.

        An id is `known` if another batch counted the same call, `conflict` if its call said
        something else: neither is counted. The same batch sent again changes nothing and gets the
        same answer, but no alerts. Raises UnavailableError; sent again, it counts what was not counted then.
        """
        ...


def recorded(call: ReportedCall, book: PriceBook) -> RecordedCall:
    """Return a call with its price: by its usage, or by its bound where that is missing."""
    rates = rates_of(book, call.model, call.at_ms, call.variant)
    usage = _usage(call, rates)
    digest, facts = call.digest(), _facts(call, rates, usage)
    return RecordedCall(call.id, call.at_ms, call.names, usage, rates, digest, facts)


def batch_digest(calls: Sequence[RecordedCall]) -> str:
    """Return what tells a batch from every other."""
    return _digest(repr([(call.id, call.digest) for call in calls]))


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to make a call that may cost less: as another `variant`, or by another `model`."""

    rates: Rates
    variant: Variant = "standard"
    model: str | None = None


class CheaperWays:
    """How calls could have been made for less, by one book of prices; what holds for a model is looked up once."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._ways_in_quarter = lru_cache(_KNOWN_MODELS)(self._find)

    def savings(self, call: ReportedCall, usage: Usage) -> list[Saving]:
        """Return how the same call could have been made for less: what changes no answer first, then most.

        By the rules of `core.costs.savings`: a critical call is never told of a smaller model.
        """
        tokens, cost = call.tokens, usage.cost_nanodollars
        if tokens is None or call.variant != "standard" or usage.unpriced_calls:
            return []
        is_critical, less = call.required_quality == "critical", list[Saving]()
        for way in self._ways_in_quarter(call.model, call.at_ms // QUARTER_MS):
            costs = None if is_critical and way.model else way.rates.cost_nanodollars(tokens)
            if costs is not None and costs < cost:
                less.append(Saving(cost - costs, way.variant, way.model))
        less.sort(key=_verified_and_most_first)
        return less

    def _find(self, model: str, quarter: int) -> list[_Way]:
        at_ms, ways = quarter * QUARTER_MS, list[_Way]()
        for variant in CHEAPER:
            if rates := rates_of(self._book, model, at_ms, variant):
                ways.append(_Way(rates, variant))
        if (other := smaller(model)) and (rates := rates_of(self._book, other, at_ms)):
            ways.append(_Way(rates, model=other))
        return ways


def _verified_and_most_first(saving: Saving) -> tuple[bool, int]:
    return not saving.is_verified, -saving.nanodollars


def _facts(call: ReportedCall, rates: Rates | None, usage: Usage) -> Facts:
    """Return what one call alone tells; whether it repeats another, nobody says of calls made elsewhere."""
    sizes = of_tokens(call.tokens, rates) if call.tokens and not call.is_estimated else NO_FACTS
    if call.required_quality == "high" and call.variant == "standard":
        return sizes
    quality = {f"quality_{call.required_quality}": int(call.required_quality != "high")}
    return added(sizes, quality, of_variant(call.variant, usage))


def _usage(call: ReportedCall, rates: Rates | None) -> Usage:
    if call.tokens is not None and call.is_estimated:
        used = priced(rates, call.tokens)
        return replace(used, estimated_calls=1, lost_nanodollars=used.cost_nanodollars)
    if call.tokens is not None:
        return priced(rates, call.tokens)
    return bound(rates, call.prompt_bytes, call.max_output_tokens).lost()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]
