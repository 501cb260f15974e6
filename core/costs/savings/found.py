"""What a kind of recommendation finds: a recommendation, and what is left once it is followed."""

from dataclasses import dataclass, replace

from core.costs.savings.recommendation import Money, Recommendation
from core.costs.savings.spend import Spend

LEAST_SAVED = 1_000_000  # nano-dollars, a tenth of a cent: less is worth nobody's time


@dataclass(frozen=True, slots=True)
class Found:
    """A recommendation, and what of the spending it leaves to be saved on."""

    recommendation: Recommendation
    after: Spend


def worth_it(found: Found) -> Found | None:
    """Return what saves enough to be told."""
    return found if found.recommendation.money.saved >= LEAST_SAVED else None


def money(saved: float, low: float, high: float, spend: Spend) -> Money:
    """Return what is saved, and its range, which is at most all that is left."""
    most = spend.cost
    amount = round(min(saved, most))
    return Money(amount, min(amount, round(low)), max(amount, round(min(high, most))))


def with_period(found: Recommendation, first: str, last: str, spend: Spend) -> Recommendation:
    """Return a recommendation whose evidence says of when it is, and of how many calls."""
    of = {"from": first, "to": last, "calls": spend.usage.calls, "cost_nanodollars": spend.sure}
    return replace(found, evidence=of | dict(found.evidence))
