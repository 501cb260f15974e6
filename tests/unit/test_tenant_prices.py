"""A tenant's own prices: for which names of a model they hold, and for which of its variants."""

import pytest

from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.model_names import counted_name, split_name
from core.costs.price_lists import Variant
from core.costs.rates import Rates
from core.costs.tenant_prices import ALWAYS, SOURCE, Price, TenantPriceBook
from core.costs.token_counts import TokenCounts

NOW = 1_795_737_600_000  # 27 November 2026: lists have prices of variants since the day they were seen
LISTS = CataloguePriceBook()
MILLION = TokenCounts(1_000_000)


def rates(model: str, variant: Variant = "standard", **own: dict) -> Rates | None:
    prices = [Price(str(split_name(name.replace("_", "-"))), ALWAYS, own[name]) for name in own]
    return TenantPriceBook(LISTS, prices).rates(model, NOW, variant)


def dollars(found: Rates | None, tokens: TokenCounts = MILLION) -> float:
    assert found is not None
    return (found.cost_nanodollars(tokens) or 0) / 10**9


@pytest.mark.parametrize(
    "answered", ["openai/gpt-4o-2024-08-06", "gpt-4o-2033-04-14", "gpt-4o-latest", "GPT-4o"]
)
def test_an_own_price_holds_for_the_names_with_a_date_that_a_provider_gives_the_model(
    answered: str,
):
    assert dollars(rates(answered, gpt_4o={"input": "1.8", "output": 7})) == 1.8


def test_a_price_of_the_dated_name_itself_is_the_more_exact_one():
    prices = [Price("openai/gpt-4o", ALWAYS, {"input": 2}), Price("openai/gpt-4o-2024-08-06", ALWAYS, {"input": 3})]  # fmt: skip
    book = TenantPriceBook(LISTS, prices)
    assert dollars(book.rates("gpt-4o-2024-08-06", NOW)) == 3
    assert dollars(book.rates("gpt-4o-2024-11-20", NOW)) == 2


@pytest.mark.parametrize(
    ("model", "variant"), [("gpt-4o", "batch"), ("gpt-5", "flex"), ("gpt-5", "priority")]
)
def test_a_variant_without_an_own_price_has_the_ratio_of_the_list_and_says_so(
    model: str, variant: Variant
):
    listed, standard = LISTS.rates(model, NOW, variant), LISTS.rates(model, NOW)
    own = rates(model, variant, **{model.replace("-", "_"): {"input": "1", "output": "8"}})
    assert listed is not None
    assert own is not None
    assert dollars(own) == pytest.approx(dollars(listed) / dollars(standard))
    assert own.source.startswith(f"{SOURCE}, {variant} by the ratio of ")


def test_of_a_model_that_no_list_has_a_batch_costs_the_standard_price_and_what_may_be_dearer_nothing_known():
    own = {"ours": {"input": "1", "output": "8"}}
    batch = rates("ours", "batch", **own)
    assert dollars(batch) == 1
    assert batch is not None
    assert "standard" in batch.source
    assert rates("ours", "priority", **own) is None


def test_a_variant_that_is_set_stays_as_it_is_set():
    own = {"input": "1", "output": 8, "batch": {"input": "0.7"}}
    found = rates("gpt-4o", "batch", gpt_4o=own)
    assert found is not None
    assert (dollars(found), found.source) == (0.7, SOURCE)


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/GPT-4o", "openai/gpt-4o"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("bedrock/us-east-1/anthropic.claude-v2", "aws/us-east-1/anthropic.claude-v2:1"),
        ("xai/grok-4", "x-ai/grok-4"),
        ("vertex_ai/gemini-2.5-pro", "google-vertex/gemini-2.5-pro"),
        ("huggingface/groq/llama", "huggingface_groq/llama"),
        ("fireworks_ai/qwen", "fireworks/accounts/fireworks/models/qwen"),
        ("ft:gpt-4o:acme::B1", "openai/ft:gpt-4o:acme::b1"),
        ("openai/ft:gpt-4o:acme::b1", "openai/ft:gpt-4o:acme::b1"),
        ("crewline/offline", "crewline/offline"),
        ("our-own", "our-own"),
        ("~", "~"),
    ],
)
def test_a_model_is_counted_under_one_name_and_that_is_priced_as_it_is(written: str, counted: str):
    assert counted_name(written) == counted_name(counted) == counted
    assert split_name(counted) == split_name(written)
