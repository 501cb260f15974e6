"""Failed calls: tries whose answers were no use, and which were paid for."""

import statistics

from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import usd

LEAST_TASKS = 3  # to know how often tries fail as a rule
REMEDIES = {
    "refused": "say in the task's `expected_output` what its schema and guardrails ask for; the reasons are in the"
    " events `answer_refused`",
    "error": "see the reasons in the events `model_call_repeated`: an answer that is cut off needs a higher limit or"
    " a shorter task, a provider that fails another one",
    "failed": "see why steps failed for good (`error` of the flow's step)",
    "retry": "see the reasons in the events `step_failed`: mend what fails before its `retries` pay for it again",
}


def failed_calls(spend: Spend, known: Known) -> Found | None:
    """Mend what fails: what tries cost whose answers were no use, less what shorter ones save on them."""
    costs = {why: spend.fact(f"wasted_{why}_cost") for why in REMEDIES}
    calls = sum(spend.fact(f"wasted_{why}_n") for why in REMEDIES)
    saved, most = max(0.0, sum(costs.values()) - spend.capped), max(costs, key=lambda w: costs[w])
    usual = _usual_share(known) * spend.cost
    parts = " + ".join(f"{usd(cost)} ({why})" for why, cost in costs.items() if cost)
    recommendation = Recommendation(
        spend.target(Kind.FAILED_CALLS),
        trigger="tries failed and were paid for: refused answers, errors, retried steps",
        change=REMEDIES[most],
        formula=f"{parts} - {usd(spend.capped)} (saved already) = {usd(saved)}",
        money=money(saved, max(0.0, saved - usual), saved, spend),
        verified=False,
        evidence={"calls_in_vain": round(calls)}
        | {f"{why}_nanodollars": round(cost) for why, cost in costs.items()}
        | {"usual_nanodollars": round(usual)},
    )
    return worth_it(Found(recommendation, spend.fewer(saved)))


def _usual_share(known: Known) -> float:
    """Return which share of its cost a task loses to failed tries as a rule; 1 if nobody can tell."""
    shares = [
        sum(each.facts.get(f"wasted_{why}_cost", 0) for why in REMEDIES) / each.sure
        for each in known.spends.values()
    ]
    return statistics.median(shares) if len(shares) >= LEAST_TASKS else 1.0
