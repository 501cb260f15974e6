"""What models cost: published prices, in USD for a million tokens, by every way that leads to them."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.price_lists import VARIANTS, Variant, check_price
from core.costs.prices import (
    DEFAULT_OUTPUT_TOKENS,
    OFFLINE_MODEL,
    TOOL_WRAPPING_TOKENS,
    WRAPPING_TOKENS,
    bound,
    priced,
    rates_of,
)
from core.costs.rates import Rates
from core.costs.tenant_prices import ALWAYS, Price, TenantPriceBook
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage

BOOK = CataloguePriceBook()


def ms(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-11-27")


def usd(nanodollars: int | None) -> float | None:
    return None if nanodollars is None else nanodollars / 1e9


def rates(model: str, variant: Variant = "standard", at_ms: int = NOW) -> Rates:
    found = rates_of(BOOK, model, at_ms, variant)
    assert found is not None, model
    return found


OPENAI = "https://developers.openai.com/api/docs/pricing"
ANTHROPIC = "https://platform.claude.com/docs/en/about-claude/pricing"
GEMINI = "https://ai.google.dev/gemini-api/docs/pricing"
BEDROCK = "https://aws.amazon.com/bedrock/pricing/"
AZURE = "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/"
DEEPINFRA = "https://deepinfra.com/pricing"


@pytest.mark.parametrize(
    ("model", "sent", "received", "_source"),
    [
        ("gpt-4", 30, 60, OPENAI),
        ("openai/gpt-4-0613", 30, 60, OPENAI),
        ("gpt-3.5-turbo", 0.5, 1.5, OPENAI),
        ("openai/gpt-3.5-turbo-0125", 0.5, 1.5, OPENAI),
        ("claude-2", 8, 24, "https://www-cdn.anthropic.com/files/4zrzovbb/website/31021aea87c30ccaecbd2e966e49a03834bfd1d2.pdf"),
        ("anthropic/claude-2.1", 8, 24, ANTHROPIC),
        ("bedrock/anthropic.claude-v2", 8, 24, BEDROCK),
        ("deepinfra/mistralai/Mixtral-8x7B-Instruct-v0.1", 0.4, 0.4, DEEPINFRA),
        ("deepinfra/mixtral", 0.4, 0.4, DEEPINFRA),
        ("openai/gpt-4o-mini", 0.15, 0.6, OPENAI),
        ("gpt-4o-mini", 0.15, 0.6, OPENAI),
        ("gpt-4o-2024-05-13", 5, 15, OPENAI),
        ("gpt-4o-2024-11-20", 2.5, 10, OPENAI),
        ("ft:gpt-4o-2024-08-06:acme::8k1", 3.75, 15, OPENAI),
        ("ft:gpt-4o-mini-2024-07-18:acme::8k1", 0.3, 1.2, OPENAI),
        ("ft:gpt-3.5-turbo-0125:acme::8k1", 3, 6, OPENAI),
        ("ft:gpt-4.1-2025-04-14:acme::8k1", 3, 12, OPENAI),
        ("gemini/gemini-2.5-flash", 0.3, 2.5, GEMINI),
        ("vertex_ai/gemini-2.5-flash", 0.3, 2.5, "https://cloud.google.com/vertex-ai/generative-ai/pricing"),
        ("anthropic/claude-sonnet-4-5", 3, 15, ANTHROPIC),
        ("vertex_ai/claude-sonnet-4-5@20250929", 3, 15, "https://cloud.google.com/vertex-ai/generative-ai/pricing"),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", 0.25, 1.25, BEDROCK),
        ("bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0", 3, 15, BEDROCK),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3, 16.5, BEDROCK),
        ("bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3, 16.5, BEDROCK),
        ("bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3, 16.5, BEDROCK),
        ("bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0", 3.6, 18, BEDROCK),
        ("bedrock/mistral.mixtral-8x7b-instruct-v0:1", 0.45, 0.7, BEDROCK),
        ("bedrock/eu-west-3/mistral.mixtral-8x7b-instruct-v0:1", 0.59, 0.91, BEDROCK),
        ("azure/gpt-4o", 2.5, 10, AZURE),
        ("azure/gpt-35-turbo", 0.5, 1.5, AZURE),
        ("azure/eu/gpt-4o-2024-08-06", 2.75, 11, AZURE),
        ("groq/llama-3.3-70b-versatile", 0.59, 0.79, "https://groq.com/pricing"),
        ("mistral/mistral-small-latest", 0.15, 0.6, "https://mistral.ai/pricing"),
        ("openrouter/meta-llama/llama-3.1-8b-instruct", 0.05, 0.08, "https://openrouter.ai/models"),
        ("openrouter/deepseek/deepseek-r1:free", 0, 0, "https://openrouter.ai/models?max_price=0"),
    ],
)  # fmt: skip
def test_a_known_model_has_its_published_price(
    model: str, sent: float, received: float, _source: str
):
    tier = rates(model).tiers[0]
    assert (usd(tier.input), usd(tier.output)) == (sent, received)


@pytest.mark.parametrize(
    "model",
    [
        "openai/nobody-knows-this", "nobody/gpt-4o", "tiny", "", "/", "x/", "openai/",
        "azure/our-own-deployment", "ft:nobody-knows-this:acme::1", "ollama/gpt-oss:120b-cloud",
        "hosted_vllm/meta-llama/Llama-3-8b", "openai/tts-1", "groq/whisper-large-v3",
        "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "o" * 1_000_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_unknown_model_is_unpriced_and_never_free(model: str, variant: Variant):
    assert rates_of(BOOK, model, NOW, variant) is None
    assert priced(None, TokenCounts(1000, output=10)) == Usage(1, 1000, 10, unpriced_calls=1)


def test_a_model_on_ones_own_computer_costs_nothing_and_says_why():
    free = rates("ollama/llama3.1:8b")
    assert priced(free, TokenCounts(1000, output=10)) == Usage(1, 1000, 10)
    assert "computer of one's own" in free.source


@pytest.mark.parametrize(
    ("model", "kinds", "_source"),
    [
        ("gpt-4o", {"cache_read": 1.25, "cache_write_5m": 2.5, "reasoning": 10}, OPENAI),
        ("claude-sonnet-4-6", {"cache_read": 0.3, "cache_write_5m": 3.75, "cache_write_1h": 6}, ANTHROPIC),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"cache_read": 0.33, "cache_write_1h": 6.6}, BEDROCK),
        ("gemini-2.5-flash", {"cache_read": 0.03, "reasoning": 2.5}, GEMINI),
        ("perplexity/sonar-deep-research", {"output": 8, "reasoning": 3}, "https://docs.perplexity.ai/getting-started/pricing"),
    ],
)  # fmt: skip
def test_each_kind_of_token_has_its_price(model: str, kinds: dict[str, float], _source: str):
    assert {kind: usd(getattr(rates(model).tiers[0], kind)) for kind in kinds} == kinds


@pytest.mark.parametrize(
    ("model", "variant", "sent", "received", "_source"),
    [
        ("gpt-4", "batch", 15, 30, OPENAI),
        ("gpt-4o-mini", "batch", 0.075, 0.3, OPENAI),
        ("gpt-5", "flex", 0.625, 5, OPENAI),
        ("gpt-5", "priority", 2.5, 20, OPENAI),
        ("claude-sonnet-4-6", "batch", 1.5, 7.5, ANTHROPIC),
        ("claude-opus-5", "fast", 10, 50, ANTHROPIC),
        ("gemini-2.5-flash", "batch", 0.15, 1.25, GEMINI),
        ("ft:gpt-4.1-2025-04-14:acme::8k1", "batch", 1.5, 6, OPENAI),
    ],
)
def test_a_variant_of_a_model_has_its_price(
    model: str, variant: Variant, sent: float, received: float, _source: str
):
    tier = rates(model, variant).tiers[0]
    assert (usd(tier.input), usd(tier.output)) == (sent, received)


@pytest.mark.parametrize(
    ("model", "variant"),
    [("gpt-3.5-turbo", "flex"), ("claude-2", "batch"), ("azure/gpt-4o", "batch")],
)
def test_a_variant_that_nobody_knows_of_a_model_is_unpriced(model: str, variant: Variant):
    assert rates_of(BOOK, model, NOW, variant) is None


def test_what_a_variant_does_not_change_costs_as_without_it():
    plain, batch = rates("gemini-2.5-flash").tiers[0], rates("gemini-2.5-flash", "batch").tiers[0]
    assert batch.cache_read == plain.cache_read


@pytest.mark.parametrize(
    ("model", "day", "sent", "received"),
    [  # https://openai.com/index/o3-price-cut is of 10 June 2025
        ("o3", "2025-06-09T23:59:59", 10, 40),
        ("o3", "2025-06-10", 2, 8),
        ("claude-sonnet-4-6", "2026-11-27", 3, 15),
    ],
)
def test_a_price_is_that_of_the_calls_time(model: str, day: str, sent: float, received: float):
    tier = rates(model, at_ms=ms(day)).tiers[0]
    assert (usd(tier.input), usd(tier.output)) == (sent, received)


@pytest.mark.parametrize(("sent", "dollars"), [(200_000, 1.25), (200_001, 2.5)])
def test_a_long_input_has_the_price_of_its_tier_for_all_of_it(sent: int, dollars: float):
    usage = priced(rates("gemini-2.5-pro"), TokenCounts(sent))  # GEMINI
    assert usage.cost_nanodollars == sent * dollars * 1000


def test_cached_tokens_count_for_the_tier_that_a_call_is_in():
    cost = priced(rates("gemini-2.5-pro"), TokenCounts(1, cache_read=200_000)).cost_nanodollars
    assert cost == 2500 + 200_000 * 250


def test_a_part_of_a_nanodollar_counts_as_one():
    flash = rates("openrouter/google/gemini-flash-1.5-8b")  # $0.0375
    assert priced(flash, TokenCounts(1)).cost_nanodollars == 38
    assert priced(flash, TokenCounts(2)).cost_nanodollars == 75


def test_a_model_that_answers_no_text_has_a_price_only_without_an_answer():
    embedding = rates("text-embedding-3-small")
    assert priced(embedding, TokenCounts(1000)).cost_nanodollars == 20_000
    assert priced(embedding, TokenCounts(1000, output=1)).unpriced_calls == 1


def test_the_offline_model_has_a_demonstration_price_that_says_so():
    cost = priced(rates(OFFLINE_MODEL), TokenCounts(10, output=2))
    assert cost == Usage(1, 10, 2, 10 * 100 + 2 * 400, demo_calls=1)


def test_a_bound_is_as_unpriced_or_pretended_as_its_model():
    sent, received = 100 + TOOL_WRAPPING_TOKENS, DEFAULT_OUTPUT_TOKENS
    assert bound(None, 100, has_tools=False).input_tokens == 100 + WRAPPING_TOKENS
    assert bound(None, 100) == Usage(1, sent, received, unpriced_calls=1)
    assert bound(rates(OFFLINE_MODEL), 100, 7) == Usage(
        1, sent, 7, sent * 100 + 7 * 400, demo_calls=1
    )


def tenants_book(prices: dict[str, Any], since: str = ALWAYS) -> TenantPriceBook:
    checked = [check_price(model, entry) for model, entry in prices.items()]
    return TenantPriceBook(BOOK, [Price(model, since, entry) for model, entry in checked])


def test_a_tenants_price_holds_from_its_day_on():
    times = {
        day: round(datetime.fromisoformat(f"{day}T12:00Z").timestamp() * 1000)
        for day in ("2026-10-31", "2026-11-01", "2026-12-24")
    }
    told = [("2026-12-01", 3), ("2026-11-01", 1)]
    prices = [Price("openai/gpt-4o", day, {"input": dollars, "output": 9}) for day, dollars in told]
    book = TenantPriceBook(BOOK, prices)
    found = [rates_of(book, "gpt-4o", at) for at in times.values()]
    assert [usd(each.tiers[0].input) for each in found if each] == [2.5, 1, 3]


@pytest.mark.parametrize(
    ("overrides", "model", "sent"),
    [
        ({"gpt-4o": {"input": "2.1", "output": 8}}, "openai/gpt-4o", 2.1),
        ({"azure/ours": {"same_as": "azure/gpt-4o"}}, "azure/ours", 2.5),
        ({"ollama/llama3": {"input": 0.01, "output": 0.01}}, "ollama/llama3", 0.01),
        ({"hosted_vllm/ours": {"input": 0, "output": 0}}, "hosted_vllm/ours", 0),
        ({"bedrock/eu.x.y": {"input": 7, "output": 8}}, "bedrock/eu-west-1/eu.x.y", 7),
        ({"openai/gpt-4o": {"input": 1, "output": 2}}, "openai/gpt-4o-mini", 0.15),
        ({"a/b": {"same_as": "a/b"}, "b": {"input": 1, "output": 1}}, "b", 1),
    ],
)
def test_what_a_tenant_agreed_on_counts_before_all_else(
    overrides: dict[str, Any], model: str, sent: float
):
    book = tenants_book(overrides)
    found = rates_of(book, model, NOW)
    assert found is not None
    assert usd(found.tiers[0].input) == sent


def test_a_tenants_name_for_itself_has_no_price():
    book = tenants_book({"a/b": {"same_as": "a/b"}})
    assert rates_of(book, "a/b", NOW) is None


def test_pricing_connects_to_nothing():
    with connections() as seen:
        rates("openai/gpt-4o")
    assert seen == []


@contextmanager
def connections() -> Generator[list[object]]:
    """Note every connection begun meanwhile; an audit hook cannot be taken off again."""
    seen, listening = list[object](), [True]
    sys.addaudithook(
        lambda name, about: seen.append(about) if listening and name == "socket.connect" else None
    )
    yield seen
    listening.clear()


def test_usage_adds_up_in_any_number():
    one, two = Usage(1, 2, 3, 4, cache_read_tokens=5), Usage(1, 20, 30, 40, estimated_calls=1)
    assert Usage.total([one, two, one]) == one + two + one
    assert Usage.total([]) == Usage()
