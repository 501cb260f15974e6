"""Providers' caches of prompts: worth their write premium where beginnings repeat, else not.

Two ways to use them are weighed: to keep what stands before the question (tools and system messages), or
the whole prompt; each for five minutes and for an hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, count, money, rate, usd, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Left, Spend

STEP_TOKENS = 128  # by which some providers round down what they find
_BREAKPOINTS = {
    "instructions": "after tools and system message",
    "prompt": "after tools and system message and at the end of the last message",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is kept for how long (`5m`, `1h`), and how much is then read, written and neither."""

    keeps: str
    time: str
    read: float
    written: float
    rest: float

    def left(self, spend: Spend) -> Left:
        """Return what would be consumed."""
        written = {f"written_{self.time}": self.written}
        none = replace(spend.left, written_5m=0.0, written_1h=0.0)
        return replace(none, uncached=self.rest, read=self.read, **written)

    def with_read(self, read: float) -> "Plan":
        """Return the plan where another number of tokens is found in the cache."""
        return replace(self, read=read, written=max(0.0, self.written + self.read - read))


def prompt_caching(spend: Spend, _known: Known) -> Found | None:
    """Keep beginnings that repeat in the provider's cache, if that saves more than writing them costs."""
    if spend.is_uncached or spend.tier.cache_read >= spend.tier.input:
        return None
    plans = [plan for plan in _plans(spend) if plan.read]
    if not plans:
        return None
    plan = max(plans, key=lambda each: _saved(spend, each))
    saved, hits = _saved(spend, plan), spend.fact(f"hits_{plan.time}")
    fewer = plan.with_read(max(0.0, plan.read - STEP_TOKENS * hits))
    longer = _plan(spend, plan.keeps, "1h")
    low, high = _saved(spend, fewer), _saved(spend, plan.with_read(max(plan.read, longer.read)))
    if low <= 0:
        return None
    if _is_automatic(spend, plan):  # the provider had its chance, and read no more than it did
        low = 0.0
    told = Recommendation(
        spend.target(Kind.PROMPT_CACHING, f"{plan.keeps}:{plan.time}"),
        trigger="prompts begin as an earlier one did that a cache would still have had",
        change=_change(spend, plan),
        formula=_formula(spend, plan),
        money=money(saved, low, high, spend),
        verified=low > 0,
        evidence={
            "repeated_tokens": round(plan.read),
            "read_from_cache_before": round(spend.left.read),
            "written_tokens": round(plan.written),
            "calls_that_repeat": round(hits),
        },
    )
    return worth_it(Found(told, replace(spend, left=plan.left(spend))))


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
    told = Recommendation(
        spend.target(Kind.UNREAD_CACHE_WRITES),
        trigger="writing to the cache costs more than reading from it saves",
        change="send these calls without `cache_control` (a cache breakpoint); put what changes from call to call, such"
        " as dates and ids, behind what stays the same before caching again",
        formula=f"{count(left.written_5m)} tokens x ({rate(spend.paid(tier.cache_write_5m))} - {rate(spend.paid(tier.input))}) +"
        f" {count(left.written_1h)} x ({rate(spend.paid(tier.cache_write_1h))} - {rate(spend.paid(tier.input))}) - {count(left.read)} read x"
        f" ({rate(spend.paid(tier.input))} - {rate(spend.paid(tier.cache_read))}) = {usd(saved)}",
        money=money(saved, saved, max(saved, unread * premium / PER_TOKENS), spend),
        verified=True,
        evidence={
            "written_tokens": round(left.written_5m + left.written_1h),
            "read_tokens": round(left.read),
            "writes_never_read": round(spend.fact("unread_n")),
            "tokens_never_read": round(unread),
        },
    )
    return worth_it(Found(told, replace(spend, left=plain, is_uncached=True)))


def _plans(spend: Spend) -> Iterator[Plan]:
    """Yield the ways to use the cache; an hour only where it has a price of its own."""
    has_hour = spend.tier.cache_write_1h > spend.tier.cache_write_5m
    for time in ("5m", "1h") if has_hour else ("5m",):
        yield _plan(spend, "instructions", time)
        yield _plan(spend, "prompt", time)


def _plan(spend: Spend, keeps: str, time: str) -> Plan:
    """Return what is read and written; where less is sent than was recorded, less is."""
    total = spend.left.input
    if keeps == "instructions":
        whole = min(spend.fact("stable"), total)
        read = min(spend.fact(f"stable_{time}"), whole)
    else:
        whole = min(max(0.0, spend.fact("cacheable") - spend.dropped), total)
        read = min(max(0.0, spend.fact(f"prefix_{time}") - spend.dropped), whole)
    return Plan(keeps, time, read, whole - read, total - whole)


def _saved(spend: Spend, plan: Plan) -> float:
    after = plan.left(spend).input_cost(spend.tier)
    return (spend.left.input_cost(spend.tier) - after) * spend.scale


def _write_rate(spend: Spend, plan: Plan) -> int:
    return spend.tier.cache_write_5m if plan.time == "5m" else spend.tier.cache_write_1h


def _is_automatic(spend: Spend, plan: Plan) -> bool:
    """Tell whether writing costs nothing: such a provider caches by itself."""
    return _write_rate(spend, plan) <= spend.tier.input


def _change(spend: Spend, plan: Plan) -> str:
    if _is_automatic(spend, plan):
        return (
            "the provider caches by itself what begins alike: put what changes from call to call, such as dates, behind"
            " what stays the same; with OpenAI, give the calls of this task one `prompt_cache_key`"
        )
    ttl = ', "ttl": "1h"' if plan.time == "1h" else ""
    return f'set `cache_control` {{"type": "ephemeral"{ttl}}} {_BREAKPOINTS[plan.keeps]}'


def _formula(spend: Spend, plan: Plan) -> str:
    tier = spend.tier
    return (
        f"input at {usd(spend.left.input_cost(tier) * spend.scale)} now - ({count(plan.read)} tokens read x"
        f" {rate(spend.paid(tier.cache_read))} + {count(plan.written)} written x {rate(spend.paid(_write_rate(spend, plan)))} +"
        f" {count(plan.rest)} others x {rate(spend.paid(tier.input))}) = {usd(_saved(spend, plan))}"
    )
