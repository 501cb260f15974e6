"""Tier avoidance: prompts that are kept below the size from which all their tokens are dearer."""

from dataclasses import replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, rate, usd


def tier_avoidance(spend: Spend, _known: Known) -> Found | None:
    """Keep prompts below the size from which all their tokens are dearer."""
    extra, over, calls = (
        spend.left.dearer * spend.scale,
        spend.fact("tier_over"),
        spend.fact("tier_n"),
    )
    if not extra or len(spend.rates.tiers) == 1:
        return None
    above = spend.rates.tiers[1].above
    recommendation = Recommendation(
        spend.target(Kind.TIER_AVOIDANCE),
        trigger=f"prompts of more than {above:,} tokens, from which the model is dearer",
        change=f"split the task's input into parts, or shorten it, so that no prompt has more than {above:,} tokens",
        formula=f"{count(calls)} calls cost {usd(extra)} more than at the price below {above:,} tokens; up to"
        f" {count(over)} tokens x {rate(spend.paid(spend.tier.input))} if they are not sent at all",
        money=money(extra, extra, extra + over * spend.paid(spend.tier.input) / PER_TOKENS, spend),
        verified=False,
        evidence={"dearer_calls": round(calls), "tokens_beyond": round(over), "tier_above": above},
    )
    return worth_it(Found(recommendation, replace(spend, left=replace(spend.left, dearer=0.0))))
