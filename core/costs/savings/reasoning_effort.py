"""Reasoning effort: less of it, where less is recorded to reason less."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.costs.facts import EFFORTS, Facts, added
from core.costs.rates import PER_TOKENS
from core.costs.savings import quality
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, rate, usd


@dataclass(frozen=True, slots=True)
class Lower:
    """A lower effort than the one in use, and the tokens of reasoning of a call: now, and to expect with it.

    `is_own`: it is recorded for this task, and not for another one alone.
    """

    effort: str
    now: str
    is_own: bool
    present: float
    usual: float
    least: float
    most: float


def reasoning_effort(spend: Spend, known: Known) -> Found | None:
    """Ask for the next lower effort than most is spent on, if one is recorded, for this task or another."""
    if spend.tier.reasoning is None or known.is_critical(spend):
        return None
    lower = _lower(spend, known)
    if lower is None:
        return None
    calls, price = spend.fact(f"effort_{lower.now}_n"), spend.paid(spend.tier.reasoning)
    saved, high, low = (
        calls * (lower.present - each) * price / PER_TOKENS
        for each in (lower.usual, lower.least, lower.most)
    )
    if saved <= 0:
        return None
    recommendation = Recommendation(
        spend.target(Kind.REASONING_EFFORT, lower.effort),
        trigger=f"with effort {lower.effort} the model reasons less than with {lower.now}, on"
        f" {'this task' if lower.is_own else 'other tasks'}",
        change=f'set `reasoning_effort: "{lower.effort}"` for the model of this task',
        formula=f"{count(calls)} calls x ({lower.present:,.1f} - {lower.usual:,.1f}) tokens of reasoning x"
        f" {rate(price)} = {usd(saved)}",
        money=money(saved, low, high, spend),
        verified=_is_verified(spend, lower),
        evidence={
            "effort": lower.now,
            "tokens_of_reasoning_a_call": round(lower.present, 1),
            "with_lower_effort": round(lower.usual, 1),
        },
    )
    return worth_it(Found(recommendation, _after(spend, calls * (lower.present - lower.usual))))


def _is_verified(spend: Spend, lower: Lower) -> bool:
    better, worse = (quality.of_effort(spend.facts, each) for each in (lower.now, lower.effort))
    return lower.is_own and quality.is_as_good(worse, better)


def _after(spend: Spend, tokens: float) -> Spend:
    """Return what is left when so many tokens are not reasoned any more."""
    output, reasoning = (
        max(0.0, each - tokens) for each in (spend.left.output, spend.left.reasoning)
    )
    return replace(spend, left=replace(spend.left, output=output, reasoning=reasoning))


def _lower(spend: Spend, known: Known) -> Lower | None:
    """Return the next lower effort that is recorded than the one that most is spent on."""
    used = [effort for effort in EFFORTS if spend.facts.get(f"effort_{effort}_n")]
    if not used:
        return None
    now = max(used, key=lambda effort: spend.facts.get(f"effort_{effort}_tokens", 0))
    for effort in reversed(EFFORTS[: EFFORTS.index(now)]):
        for each in (spend, *_of_model(spend, known)):
            if each.facts.get(f"effort_{effort}_n"):
                said = spend.facts.get(f"effort_{now}_said", 0) / spend.facts[f"effort_{now}_n"]
                expected = _expected(each.days, effort, said)
                return Lower(effort, now, each is spend, _tokens(spend.facts, now), *expected)
    return None


def _of_model(spend: Spend, known: Known) -> list[Spend]:
    """Return what else was spent on the same model."""
    others = known.spends.values()
    return [each for each in others if each.model == spend.model and each.names != spend.names]


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
    tokens, spoken = _tokens(facts, effort), facts.get(f"effort_{effort}_said", 0)
    return [tokens, *([facts.get(f"effort_{effort}_tokens", 0) / spoken * said] if spoken else [])]


def _tokens(facts: Facts, effort: str) -> float:
    """Return the tokens of reasoning of a call with this effort."""
    return facts.get(f"effort_{effort}_tokens", 0) / facts[f"effort_{effort}_n"]
