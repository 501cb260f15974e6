"""A smaller model for a task: for all of its calls, or first, with the one in use for what it cannot do.

Where the same task was done by another model, what that cost and how often it failed counts. Else the
same tokens are priced by the smaller model's rates: that has to be tried first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.costs.savings.found import Found, count, money, usd, worth_it
from core.costs.savings.quality import Quality, is_as_good, is_worse, of_answers
from core.costs.savings.recommendation import Kind, Money, Recommendation, Target
from core.costs.savings.siblings import smaller
from core.costs.savings.spend import Known, Spend

_MOST_FAILING = 0.99  # nobody waits for a hundredth try


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cheaper model: what the task's calls would cost with it, and between which two figures."""

    model: str
    cost: float
    low: float
    high: float
    quality: Quality
    is_verified: bool
    formula: str

    def money(self, spend: Spend) -> Money:
        cost = spend.cost
        return money(cost - self.cost, cost - self.high, cost - self.low, spend)


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
    now = of_answers(spend.facts)
    seen = (
        "its recorded answers are as good"
        if best.is_verified
        else "whether it is as good has to be tried"
    )
    target = spend.target(Kind.RIGHT_SIZING, best.model)
    told = Recommendation(
        target,
        trigger=f"{best.model} would do the task for less; {seen}",
        change=_change(spend, target, is_verified=best.is_verified),
        formula=f"{usd(spend.cost)} now - {best.formula} = {usd(spend.cost - best.cost)}",
        money=best.money(spend),
        verified=best.is_verified,
        evidence=_evidence(now, best.quality),
    )
    scale = spend.scale * best.cost / spend.cost
    return worth_it(Found(told, replace(spend, scale=scale, is_replaced=True)))


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


def cascade(spend: Spend, known: Known) -> Found | None:
    """Ask a cheaper model first, and the one in use where the task's checks refuse its answer.

    For a model that is recorded to fail too often to do the task alone.
    """
    if known.is_critical(spend) or spend.is_replaced:
        return None
    now, best = of_answers(spend.facts), None
    for other in known.of_task(spend):
        quality = of_answers(other.facts)
        if quality.answers and now.answers and is_worse(quality, now):
            found = _first(spend, other, quality, known)
            best = found if best is None or found.cost < best.cost else best
    if best is None or best.cost >= spend.cost:
        return None
    told = Recommendation(
        spend.target(Kind.CASCADE, best.model),
        trigger=f"{best.model} is refused too often to do the task alone, and costs so little that it may try first",
        change=f"have {best.model} answer the task {spend.names[1]} first, and {spend.model} only where its schema or"
        " guardrails refuse that answer",
        formula=f"{usd(spend.cost)} now - {best.formula} = {usd(spend.cost - best.cost)}",
        money=best.money(spend),
        verified=True,
        evidence=_evidence(now, best.quality),
    )
    return worth_it(Found(told, replace(spend, scale=spend.scale * best.cost / spend.cost)))


def _recorded(spend: Spend, known: Known) -> Iterator[Candidate]:
    """Yield models that were recorded at the same task, cost less and are not known to be worse."""
    now = of_answers(spend.facts)
    for other in known.of_task(spend):
        quality = of_answers(other.facts)
        if not quality.answers or not now.answers or is_worse(quality, now):
            continue
        tries = _first_tries(spend, other, known)
        # Each that fails is begun again, and may fail again: of n tries n (1 - p) answers are taken.
        low, high = (1 / (1 - min(p, _MOST_FAILING)) for p in quality.interval(tries.answers))
        cost = tries.cost / (1 - min(quality.failing, _MOST_FAILING))
        if cost < spend.cost:
            formula = f"{tries.formula} / {1 - quality.failing:.3f} (taken at once)"
            good = is_as_good(quality, now)
            yield Candidate(other.model, cost, tries.low * low, tries.high * high, quality, good, formula)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tries:
    """What one try of another model at each answer costs: as recorded there, or for the same tokens here."""

    answers: float
    cost: float
    low: float
    high: float
    formula: str


def _first_tries(spend: Spend, other: Spend, known: Known) -> Tries:
    taken = spend.fact("tries") - spend.fact("tries_again")
    each, lowered = other.sure / other.facts["tries"], _lowered(spend)
    cost, rates = taken * each * lowered, known.rates(other.model)
    same = spend.priced(replace(spend.left, dearer=0.0), rates) if rates else None
    share = taken / spend.fact("tries") if spend.fact("tries") else 1.0
    other_way = cost if same is None else same * share
    formula = f"{count(taken)} answers x {usd(each)} a try, as recorded, x {lowered:.3f}"
    return Tries(taken, cost, min(cost, other_way), max(cost, other_way), formula)


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


def _first(spend: Spend, other: Spend, quality: Quality, known: Known) -> Candidate:
    """Return what it costs to ask another model first, and the one in use where that is refused."""
    tries, p = _first_tries(spend, other, known), quality.failing
    least, most = quality.interval(tries.answers)
    low, high = tries.low + least * spend.cost, tries.high + most * spend.cost
    formula = f"({tries.formula} + {p:.1%} refused x {usd(spend.cost)})"
    return Candidate(other.model, tries.cost + p * spend.cost, low, high, quality, True, formula)


def _lowered(spend: Spend) -> float:
    """Return what is left of a call's cost after the changes before, which count for any model."""
    return min(1.0, spend.cost / (spend.sure * spend.share)) if spend.sure * spend.share else 1.0


def _evidence(now: Quality, cheaper: Quality) -> dict[str, int | float | str]:
    return {
        "checked_answers": now.answers,
        "begun_again": now.again,
        "checked_answers_of_cheaper": cheaper.answers,
        "begun_again_of_cheaper": cheaper.again,
    }
