"""Duplicate calls: repeats of what was answered, which need not be made."""

from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, usd


def duplicate_calls(spend: Spend, _known: Known) -> Found | None:
    """Ask nothing twice: what repeats cost, as recorded."""
    saved, calls = spend.fact("repeats_cost"), spend.fact("repeats")
    recommendation = Recommendation(
        spend.target(Kind.DUPLICATE_CALLS),
        trigger="requests were sent that had been answered word for word before",
        change="keep the answers by the flow's inputs and give them out again; launch with the same Idempotency-Key"
        " what is the same piece of work",
        formula=f"{count(calls)} repeated calls cost {usd(saved)}",
        money=money(saved, saved, saved, spend),
        verified=True,
        evidence={"repeated_calls": round(calls)},
    )
    return worth_it(Found(recommendation, spend.fewer(saved)))
