"""Batch or flex: calls that nobody waits for cost less in a batch, or when the provider has time (flex)."""

from dataclasses import replace

from core.costs.price_lists import Variant
from core.costs.prices import rates_of
from core.costs.rates import Rates
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Left, Spend
from core.costs.savings.texts import count, usd

# The one whose answer still comes with the request is taken where both cost the same.
FLEX_FIRST: tuple[Variant, ...] = ("flex", "batch")
_CHANGES = {
    "flex": 'send these calls with `service_tier: "flex"`; allow for longer answers and repeat what is refused (429)',
    "batch": "send these calls to the provider's batch API, which answers within a day; allow flows that long",
}


def batch_or_flex(spend: Spend, known: Known) -> Found | None:
    """Make calls of flows that only a webhook waits for when the provider has time."""
    late, calls = _late(spend), spend.fact("late_n")
    now, plain = late.cost(spend.rates), spend.left.cost(spend.rates)
    if not now or not plain:
        return None
    variants = FLEX_FIRST if spend.answers_at_once else FLEX_FIRST[:1]
    costs = {variant: _cost(spend, known, variant, late) for variant in variants}
    variant = min(costs, key=lambda each: costs[each])
    lowered = spend.lowered
    alone = max(0.0, now - costs[variant]) * spend.scale
    saved = alone * lowered
    recommendation = Recommendation(
        spend.target(Kind.BATCH_OR_FLEX, variant),
        trigger="calls of flows that were launched with a webhook for their end and none for their steps: nobody waits"
        " for a single one",
        change=_CHANGES[variant],
        formula=f"{count(calls)} calls cost {usd(now * spend.scale)}, as {variant}"
        f" {usd(costs[variant] * spend.scale)}; x {lowered:.3f} (what is left of a call's cost) = {usd(saved)}",
        money=money(saved, saved, alone, spend),
        verified=True,
        evidence={"calls_nobody_waits_for": round(calls)},
    )
    share = 1 - min(1.0, saved / spend.cost) if spend.cost else 1.0
    return worth_it(Found(recommendation, replace(spend, scale=spend.scale * share)))


def _late(spend: Spend) -> Left:
    """Return what calls consume that nobody waits for."""
    read, written = spend.fact("late_cache_read_tokens"), spend.fact("late_cache_write_tokens")
    return Left(
        calls=spend.fact("late_n"),
        uncached=max(0.0, spend.fact("late_input_tokens") - read - written),
        read=read,
        written_5m=written,
        output=spend.fact("late_output_tokens"),
        reasoning=spend.fact("late_reasoning_tokens"),
    )


def _cost(spend: Spend, known: Known, variant: Variant, late: Left) -> float:
    rates: Rates | None = rates_of(known.book, spend.model, known.at_ms, variant)
    cost = late.cost(rates) if rates else None
    return float("inf") if cost is None else cost
