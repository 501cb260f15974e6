"""Which of two models is as good, by how often their answers are not taken at once."""

import pytest

from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.savings.quality import Quality, is_as_good, is_worse, of_answers, worse_by
from core.costs.savings.siblings import _SMALLER, smaller
from tests.unit.savings.replay import NOON

PREFIXES = {
    "gpt": "openai/", "o1": "openai/", "o3": "openai/", "o4": "openai/", "claude": "anthropic/",
    "gemini": "gemini/", "mistral": "mistral/", "deepseek": "deepseek/",
}  # fmt: skip


def test_the_interval_is_wilsons():
    """Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263, and 0 of 20."""
    assert Quality(263, 81).interval() == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Quality(20, 0).interval() == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_difference_is_newcombes():
    """The same volume, page 873, method 10: 56 of 70 less 48 of 80, and 0 of 10 less 0 of 20."""
    found = worse_by(Quality(70, 56), Quality(80, 48))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert worse_by(Quality(10, 0), Quality(20, 0)) == pytest.approx((-0.1611, 0.2775), abs=5e-5)


def test_further_answers_vary_by_chance_as_well():
    low, high = Quality(300, 30).interval(300)
    assert Quality(150, 15).interval() == pytest.approx((low, high))
    assert Quality(0, 0).interval() == Quality(9, 0).interval(0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("cheaper", "now", "good", "worse"),
    [
        ((500, 25), (600, 30), True, False),
        ((40, 2), (600, 30), False, False),
        ((500, 100), (600, 30), False, True),
        ((0, 0), (600, 30), False, False),
    ],
)
def test_only_what_is_all_but_sure_counts(
    cheaper: tuple[int, int], now: tuple[int, int], good: bool, worse: bool
):
    assert is_as_good(Quality(*cheaper), Quality(*now)) is good
    assert is_worse(Quality(*cheaper), Quality(*now)) is worse


def test_answers_that_nothing_checks_tell_nothing():
    assert of_answers({"tries": 500}) == Quality(0, 0)
    assert of_answers({"tries": 500, "tries_checked": 500, "tries_again": 3}) == Quality(500, 3)


@pytest.mark.parametrize(("model", "other"), _SMALLER.items())
def test_a_smaller_sibling_has_a_price_and_a_lower_one(model: str, other: str):
    prefix = next(found for start, found in PREFIXES.items() if model.startswith(start))
    found = smaller(prefix + model)
    assert found is not None
    assert found.startswith(prefix + other)
    book = (
        CataloguePriceBook()
    )  # at noon, since the hours of some lists' discounts make both cost the same
    rates = [book.rates(prefix + name, NOON) for name in (model, found.removeprefix(prefix))]
    assert None not in rates
    dear, cheap = (each.tiers[0] for each in rates if each)
    assert cheap.input <= dear.input
    assert (cheap.output or 0) <= (dear.output or 0)
    assert (cheap.input, cheap.output) != (dear.input, dear.output)


@pytest.mark.parametrize(
    ("model", "other"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("openai/gpt-4o-2024-08-06", "openai/gpt-4o-mini"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-haiku-4-5"),
        ("mistral/mistral-large-latest", "mistral/mistral-small-latest"),
        ("openai/gpt-4o-mini", None),
        ("openai/gpt-4-0613", "openai/gpt-4o"),
        ("hosted_vllm/llama", None),
        ("", None),
    ],
)
def test_a_name_with_its_date_has_the_same_sibling(model: str, other: str | None):
    assert smaller(model) == other
