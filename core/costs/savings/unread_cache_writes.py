"""Unread cache writes: what is written to the provider's cache and not read often enough to pay for that."""

from dataclasses import replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.prompt_caching import prompt_caching
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, rate, usd


def unread_cache_writes(spend: Spend, known: Known) -> Found | None:
    """Do not write to the cache what is not read from it often enough to pay for that."""
    left, tier = spend.left, spend.tier
    plain = replace(left, uncached=left.input, read=0.0, written_5m=0.0, written_1h=0.0)
    saved = (left.input_cost(tier) - plain.input_cost(tier)) * spend.scale
    better = prompt_caching(spend, known)
    if saved <= 0 or (better is not None and better.recommendation.money.saved >= saved):
        return None
    unread = spend.fact("unread")
    premium = (tier.cache_write_5m - tier.input) * spend.scale
    recommendation = Recommendation(
        spend.target(Kind.UNREAD_CACHE_WRITES),
        trigger="writing to the cache costs more than reading from it saves",
        change="send these calls without `cache_control` (a cache breakpoint); put what changes from call to call, such"
        " as dates and ids, behind what stays the same before caching again",
        formula=_formula(spend, saved),
        money=money(saved, saved, max(saved, unread * premium / PER_TOKENS), spend),
        verified=True,
        evidence={
            "written_tokens": round(left.written_5m + left.written_1h),
            "read_tokens": round(left.read),
            "writes_never_read": round(spend.fact("unread_n")),
            "tokens_never_read": round(unread),
        },
    )
    return worth_it(Found(recommendation, replace(spend, left=plain, is_uncached=True)))


def _formula(spend: Spend, saved: float) -> str:
    left, tier = spend.left, spend.tier
    plain, read, five, hour = (
        rate(spend.paid(each))
        for each in (tier.input, tier.cache_read, tier.cache_write_5m, tier.cache_write_1h)
    )
    return (
        f"{count(left.written_5m)} tokens x ({five} - {plain}) + {count(left.written_1h)} x ({hour} - {plain})"
        f" - {count(left.read)} read x ({plain} - {read}) = {usd(saved)}"
    )
