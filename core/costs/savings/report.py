"""Savings: what could be changed so that the calls of a period had cost less.

Recommendations are looked for in a fixed order, each on what is left once those before it are followed,
so that their sum is what all of them save together.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from core import cpu
from core.costs.prices import PriceBook
from core.costs.report import Query
from core.costs.savings.batch_or_flex import batch_or_flex
from core.costs.savings.cascade import cascade
from core.costs.savings.context_reduction import context_reduction
from core.costs.savings.duplicate_calls import duplicate_calls
from core.costs.savings.failed_calls import failed_calls
from core.costs.savings.found import Found, with_period
from core.costs.savings.output_cap import output_cap
from core.costs.savings.prompt_caching import prompt_caching
from core.costs.savings.reasoning_effort import reasoning_effort
from core.costs.savings.recommendation import Money, Recommendation
from core.costs.savings.right_sizing import right_sizing
from core.costs.savings.spend import Known, Names, Record, Spend
from core.costs.savings.tier_avoidance import tier_avoidance
from core.costs.savings.unread_cache_writes import unread_cache_writes
from core.costs.usage import Usage

PIECE_NAMES = 25  # looked at at once: about 15 ms

Find = Callable[[Spend, Known], Found | None]
# First calls that need not be made, then tokens that need not be sent, then the same for less.
ORDER: tuple[Find, ...] = (
    duplicate_calls,
    output_cap,
    failed_calls,
    tier_avoidance,
    context_reduction,
    reasoning_effort,
    unread_cache_writes,
    prompt_caching,
    batch_or_flex,
    right_sizing,
    cascade,
)


@dataclass(frozen=True, slots=True)
class Savings:
    """Recommendations, most saved first, and what was spent; `considered` of it had a price."""

    query: Query
    recommendations: list[Recommendation]
    usage: Usage
    considered: int

    @property
    def total(self) -> Money:
        """What all of them save together; never more than was spent."""
        each = [found.money for found in self.recommendations]
        high = min(self.considered, sum(found.high for found in each))
        return Money(sum(found.saved for found in each), sum(found.low for found in each), high)

    def public(self) -> dict[str, Any]:
        """Return the savings as JSON."""
        total = self.total
        return {
            "from": self.query.first.isoformat(),
            "to": self.query.last.isoformat(),
            "currency": "USD",
            "cost_nanodollars": self.usage.cost_nanodollars,
            "considered_nanodollars": self.considered,
            "left_out": {
                "unpriced_calls": self.usage.unpriced_calls,
                "demo_calls": self.usage.demo_calls,
            },
            "total": {
                "saved_nanodollars": total.saved,
                "low_nanodollars": total.low,
                "high_nanodollars": total.high,
            },
            "recommendations": [found.public() for found in self.recommendations],
        }


async def savings(
    tenant: str, query: Query, record: Record, book: PriceBook, at_ms: int
) -> Savings:
    """Return what could be saved on what a tenant's record holds, by the prices as of `at_ms`.

    It is looked for in pieces beside the event loop, between which other tenants have their turn.
    """
    known = await cpu.run(tenant, partial(Known.of, book, at_ms), record)
    names, found = list(known.spends), list[Recommendation]()
    for at in range(0, len(names), PIECE_NAMES):
        piece = names[at : at + PIECE_NAMES]
        found += await cpu.run(tenant, partial(_found_in, query, known), piece)
    most_first = sorted(found, key=lambda each: (-each.money.saved, each.target.id))
    considered = sum(spend.sure for spend in known.spends.values())
    return Savings(query, most_first, record.usage, considered)


def _found_in(query: Query, known: Known, names: Iterable[Names]) -> list[Recommendation]:
    """Return what is recommended for calls of these names; some 100 us each."""
    first, last = query.first.isoformat(), query.last.isoformat()
    return [
        with_period(each, first, last, known.spends[name])
        for name in names
        for each in recommendations(known.spends[name], known)
    ]


def recommendations(
    spend: Spend, known: Known, order: Iterable[Find] = ORDER
) -> list[Recommendation]:
    """Return what is found in this order, each on what the ones before leave."""
    found: list[Recommendation] = []
    for find in order:
        if (each := find(spend, known)) is not None:
            found.append(each.recommendation)
            spend = each.after
    return found
