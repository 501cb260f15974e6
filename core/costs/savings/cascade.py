"""Cascade: a cheaper model is asked first, and the one in use for what it cannot do."""

from collections.abc import Iterator
from dataclasses import replace

from core.costs.savings.found import Found, worth_it
from core.costs.savings.other_model import Candidate, evidence, first_tries
from core.costs.savings.quality import Quality, is_worse, of_answers
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import usd


def cascade(spend: Spend, known: Known) -> Found | None:
    """Ask a cheaper model first, and the one in use where the task's checks refuse its answer.

    For a model that is recorded to fail too often to do the task alone.
    """
    if known.is_critical(spend) or spend.is_replaced:
        return None
    best = min(_worse(spend, known), key=lambda each: each.cost, default=None)
    if best is None or best.cost >= spend.cost:
        return None
    recommendation = Recommendation(
        spend.target(Kind.CASCADE, best.model),
        trigger=f"{best.model} is refused too often to do the task alone, and costs so little that it may try first",
        change=f"have {best.model} answer the task {spend.names[1]} first, and {spend.model} only where its schema or"
        " guardrails refuse that answer",
        formula=f"{usd(spend.cost)} now - {best.formula} = {usd(spend.cost - best.cost)}",
        money=best.money(spend),
        verified=True,
        evidence=evidence(of_answers(spend.facts), best.quality),
    )
    return worth_it(
        Found(recommendation, replace(spend, scale=spend.scale * best.cost / spend.cost))
    )


def _worse(spend: Spend, known: Known) -> Iterator[Candidate]:
    """Yield models that are recorded to fail more often at the task, each asked first."""
    now = of_answers(spend.facts)
    for other in known.of_task(spend):
        quality = of_answers(other.facts)
        if quality.answers and now.answers and is_worse(quality, now):
            yield _first(spend, other, quality, known)


def _first(spend: Spend, other: Spend, quality: Quality, known: Known) -> Candidate:
    """Return what it costs to ask another model first, and the one in use where that is refused."""
    tries, p = first_tries(spend, other, known), quality.failing
    least, most = quality.interval(tries.answers)
    low, high = tries.low + least * spend.cost, tries.high + most * spend.cost
    formula = f"({tries.formula} + {p:.1%} refused x {usd(spend.cost)})"
    return Candidate(other.model, tries.cost + p * spend.cost, low, high, quality, True, formula)
