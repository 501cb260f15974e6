"""Another model at a task: what it would cost there, by what is recorded of it or by its prices."""

from dataclasses import dataclass, replace

from core.costs.savings.found import money
from core.costs.savings.quality import Quality
from core.costs.savings.recommendation import Money
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, usd


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


@dataclass(frozen=True, slots=True)
class FirstTries:
    """What one try of another model at each answer costs: as recorded there, or for the same tokens here."""

    answers: float
    cost: float
    low: float
    high: float
    formula: str


def first_tries(spend: Spend, other: Spend, known: Known) -> FirstTries:
    """Return what it costs to have another model try each answer once that is taken."""
    taken = spend.fact("tries") - spend.fact("tries_again")
    each, lowered = other.sure / other.facts["tries"], spend.lowered
    cost, rates = taken * each * lowered, known.rates(other.model)
    same = spend.priced(replace(spend.left, dearer=0.0), rates) if rates else None
    share = taken / spend.fact("tries") if spend.fact("tries") else 1.0
    other_way = cost if same is None else same * share
    formula = f"{count(taken)} answers x {usd(each)} a try, as recorded, x {lowered:.3f}"
    return FirstTries(taken, cost, min(cost, other_way), max(cost, other_way), formula)


def evidence(now: Quality, cheaper: Quality) -> dict[str, int | float | str]:
    """Return how often answers of both models were checked, and begun again."""
    return {
        "checked_answers": now.answers,
        "begun_again": now.again,
        "checked_answers_of_cheaper": cheaper.answers,
        "begun_again_of_cheaper": cheaper.again,
    }
