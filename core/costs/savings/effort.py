"""Reasoning effort: less of it, where less is recorded to reason less."""

from collections.abc import Mapping
from dataclasses import replace

from core.costs.facts import EFFORTS, Facts, added
from core.costs.rates import PER_TOKENS
from core.costs.savings import quality
from core.costs.savings.found import Found, count, money, rate, usd, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend


def reasoning_effort(spend: Spend, known: Known) -> Found | None:
    """Ask for the next lower effort than most is spent on, if one is recorded, for this task or another."""
    used = [effort for effort in EFFORTS if spend.facts.get(f"effort_{effort}_n")]
    if not used or spend.tier.reasoning is None or known.is_critical(spend):
        return None
    now = max(used, key=lambda effort: spend.facts.get(f"effort_{effort}_tokens", 0))
    lower = _lower(spend, known, now)
    if lower is None:
        return None
    effort, days = lower
    calls, present = spend.fact(f"effort_{now}_n"), _tokens(spend.facts, now)
    said = spend.facts.get(f"effort_{now}_said", 0) / spend.facts[f"effort_{now}_n"]
    usual, least, most = _expected(days, effort, said)
    price = spend.paid(spend.tier.reasoning) / PER_TOKENS
    saved, high, low = (calls * (present - each) * price for each in (usual, least, most))
    tokens = calls * (present - usual)
    if saved <= 0:
        return None
    is_own = days is spend.days
    better, worse = (quality.of_effort(spend.facts, each) for each in (now, effort))
    told = Recommendation(
        spend.target(Kind.REASONING_EFFORT, effort),
        trigger=f"with effort {effort} the model reasons less than with {now}, on"
        f" {'this task' if is_own else 'other tasks'}",
        change=f'set `reasoning_effort: "{effort}"` for the model of this task',
        formula=f"{count(calls)} calls x ({present:,.1f} - {usual:,.1f}) tokens of reasoning x"
        f" {rate(spend.paid(spend.tier.reasoning))} = {usd(saved)}",
        money=money(saved, low, high, spend),
        verified=is_own and quality.is_as_good(worse, better),
        evidence={
            "effort": now,
            "tokens_of_reasoning_a_call": round(present, 1),
            "with_lower_effort": round(usual, 1),
        },
    )
    left = replace(
        spend.left,
        output=max(0.0, spend.left.output - tokens),
        reasoning=max(0.0, spend.left.reasoning - tokens),
    )
    return worth_it(Found(told, replace(spend, left=left)))


def _lower(spend: Spend, known: Known, now: str) -> tuple[str, Mapping[str, Facts]] | None:
    """Return the next lower effort that is recorded, and the facts of days with it: best of this task."""
    others = [
        each for each in known.spends.values() if each.model == spend.model and each is not spend
    ]
    for effort in reversed(EFFORTS[: EFFORTS.index(now)]):
        for each in (spend, *others):
            if each.facts.get(f"effort_{effort}_n"):
                return effort, spend.days if each.names == spend.names else each.days
    return None


def _expected(days: Mapping[str, Facts], effort: str, said: float) -> tuple[float, float, float]:
    """Return the tokens of reasoning to expect of a call that says so much: usual, least and most.

    As many as a call had with this effort, or as many for each token that it said: by the day with the
    least and the most of them.
    """
    of_days = [facts for facts in days.values() if facts.get(f"effort_{effort}_n")]
    each = [tokens for facts in of_days for tokens in _ways(facts, effort, said)]
    both = _ways(added(*of_days), effort, said)
    return sum(both) / len(both), min(each), max(each)


def _ways(facts: Facts, effort: str, said: float) -> list[float]:
    tokens, told = _tokens(facts, effort), facts.get(f"effort_{effort}_said", 0)
    return [tokens, *([facts.get(f"effort_{effort}_tokens", 0) / told * said] if told else [])]


def _tokens(facts: Facts, effort: str) -> float:
    """Return the tokens of reasoning of a call with this effort."""
    return facts.get(f"effort_{effort}_tokens", 0) / facts[f"effort_{effort}_n"]
