"""Right-sizing: a smaller model does the task.

Where the same task was done by another model, what that cost and how often it failed counts. Else the
same tokens are priced by the smaller model's rates: that has to be tried first.
"""

from collections.abc import Iterator
from dataclasses import replace

from core.costs.savings.cascade import cascade
from core.costs.savings.found import Found, worth_it
from core.costs.savings.other_model import Candidate, evidence, first_tries
from core.costs.savings.quality import Quality, is_as_good, is_worse, of_answers
from core.costs.savings.recommendation import Kind, Recommendation, Target
from core.costs.savings.siblings import smaller
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import usd

_MOST_FAILING = 0.99  # nobody waits for a hundredth try


def right_sizing(spend: Spend, known: Known) -> Found | None:
    """Have a cheaper model do the task: one that is as good, or else one that has to be tried."""
    if known.is_critical(spend):
        return None
    candidates = [*_recorded(spend, known), *_sibling(spend, known)]
    if not candidates:
        return None
    best = min(candidates, key=lambda each: (not each.is_verified, each.cost))
    if not best.is_verified and cascade(spend, known) is not None:
        return None  # what is sure goes before what has to be tried
    target = spend.target(Kind.RIGHT_SIZING, best.model)
    recommendation = Recommendation(
        target,
        trigger=f"{best.model} would do the task for less; {_seen(best)}",
        change=_change(spend, target, is_verified=best.is_verified),
        formula=f"{usd(spend.cost)} now - {best.formula} = {usd(spend.cost - best.cost)}",
        money=best.money(spend),
        verified=best.is_verified,
        evidence=evidence(of_answers(spend.facts), best.quality),
    )
    scale = spend.scale * best.cost / spend.cost
    return worth_it(Found(recommendation, replace(spend, scale=scale, is_replaced=True)))


def _seen(best: Candidate) -> str:
    if best.is_verified:
        return "its recorded answers are as good"
    return "whether it is as good has to be tried"


def _change(spend: Spend, target: Target, *, is_verified: bool) -> str:
    if "tries" not in spend.facts:  # no crew makes these calls: they are reported
        return (
            f"ask {target.to} where the calls of this task are made, and compare its answers first"
        )
    path = f'PUT /v1/costs/models/{target.crew}/{target.task} {{"model": "{target.to}"}}'
    if is_verified:
        return path
    trial = f'first POST /v1/costs/savings/{target.id}/trial {{"share": 0.2}}, then {path}'
    if spend.facts.get("tries_checked"):
        return trial
    return f"give the task an output_schema or guardrails, or ask people (human_input, thumbs): else no trial can show it; {trial}"


def _recorded(spend: Spend, known: Known) -> Iterator[Candidate]:
    """Yield models that were recorded at the same task, cost less and are not known to be worse."""
    now = of_answers(spend.facts)
    for other in known.of_task(spend):
        quality = of_answers(other.facts)
        if not quality.answers or not now.answers or is_worse(quality, now):
            continue
        tries = first_tries(spend, other, known)
        # Each that fails is begun again, and may fail again: of n tries n (1 - p) answers are taken.
        low, high = (1 / (1 - min(p, _MOST_FAILING)) for p in quality.interval(tries.answers))
        cost = tries.cost / (1 - min(quality.failing, _MOST_FAILING))
        if cost < spend.cost:
            formula = f"{tries.formula} / {1 - quality.failing:.3f} (taken at once)"
            good = is_as_good(quality, now)
            yield Candidate(other.model, cost, tries.low * low, tries.high * high, quality, good, formula)  # fmt: skip


def _sibling(spend: Spend, known: Known) -> Iterator[Candidate]:
    """Yield the next smaller model, unless the task has shown already what it can do."""
    model = smaller(spend.model)
    if model is None or any(other.model == model for other in known.of_task(spend)):
        return
    rates = known.rates(model)
    cost = spend.priced(replace(spend.left, dearer=0.0), rates) if rates else None
    if cost is not None and cost < spend.cost:
        # At worst it fails each time once more than the one in use, which doubles what it costs.
        formula = f"{usd(cost)} for the same tokens at the rates of {model}"
        yield Candidate(model, cost, cost, 2 * cost, Quality(0, 0), False, formula)
