"""Prompt caching: worth its write premium where beginnings of prompts repeat, else not.

Two ways to use them are weighed: to keep what stands before the question (tools and system messages), or
the whole prompt; each for five minutes and for an hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Money, Recommendation
from core.costs.savings.spend import Known, Left, Spend
from core.costs.savings.texts import count, rate, usd

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
    saved = _range(spend, plan)
    if saved.low <= 0:
        return None
    if _is_automatic(spend, plan):  # the provider had its chance, and read no more than it did
        saved = replace(saved, low=0)
    recommendation = Recommendation(
        spend.target(Kind.PROMPT_CACHING, f"{plan.keeps}:{plan.time}"),
        trigger="prompts begin as an earlier one did that a cache would still have had",
        change=_change(spend, plan),
        formula=_formula(spend, plan),
        money=saved,
        verified=saved.low > 0,
        evidence=_evidence(spend, plan),
    )
    return worth_it(Found(recommendation, replace(spend, left=plan.left(spend))))


def _range(spend: Spend, plan: Plan) -> Money:
    """Return what a plan saves: at least where a provider rounds down, at most where it keeps for an hour."""
    hits = spend.fact(f"hits_{plan.time}")
    fewer = plan.with_read(max(0.0, plan.read - STEP_TOKENS * hits))
    longer = plan.with_read(max(plan.read, _plan(spend, plan.keeps, "1h").read))
    return money(_saved(spend, plan), _saved(spend, fewer), _saved(spend, longer), spend)


def _evidence(spend: Spend, plan: Plan) -> dict[str, int | float | str]:
    return {
        "repeated_tokens": round(plan.read),
        "read_from_cache_before": round(spend.left.read),
        "written_tokens": round(plan.written),
        "calls_that_repeat": round(spend.fact(f"hits_{plan.time}")),
    }


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
