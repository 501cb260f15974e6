"""Every model of the two price lists is found under the name that people write."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo

from core.adapters.genai_prices import GenaiPrices
from core.adapters.litellm_prices import LitellmPrices
from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.model_names import split_name
from core.costs.price_lists import VARIANTS, entry_rates
from core.costs.token_counts import TokenCounts
from infra.price_list import AS_OF_MS, TARGET, candidates, litellm_list, price_list

BOOK, NOW = CataloguePriceBook(), AS_OF_MS
# Provider of genai-prices -> LiteLLM's prefix, where they differ.
PREFIXES = {
    "aws": "bedrock", "fireworks": "fireworks_ai", "github-copilot": "github_copilot", "google": "gemini",
    "moonshotai": "moonshot", "together": "together_ai", "voyageai": "voyage", "x-ai": "xai",
}  # fmt: skip
# Models without a price for tokens -> why.
NO_TOKENS = [
    (r"audio|whisper|transcribe|tts|voxtral|voice|orpheus|live|translate|eleven_", "billed by time or by characters"),
    (r"ocr", "billed by the page"),
    (r"lyria", "billed by the song"),
    (r"github-copilot/gpt-(3\.5-turbo|4\.1|4o|4o-mini)$", "part of a subscription"),
    (r"google/gemma-|-exp(-|$)|moderation|stealth/|huggingface_together/(prism-ml|ServiceNow)|qwen-3-coder-480b",
     "listed without any price"),
]  # fmt: skip


def test_a_price_by_the_time_of_day_holds_from_its_minute_on():
    """DeepSeek's are lower from 16:30 to 00:30 UTC; whoever asks before and after hears both."""
    name, midnight = split_name("deepseek/deepseek-chat"), 1_795_564_800_000
    for minute in (15, 45, 16 * 60 + 15, 16 * 60 + 45):
        at_ms = midnight + minute * 60_000
        listed = GenaiPrices().rates(name, at_ms, "standard")
        assert listed is not None
        assert BOOK.rates(str(name), at_ms) == listed


def names(match: Any, model_id: str) -> Iterator[str]:
    """Yield the names that genai-prices says a model has; of a beginning, the beginning."""
    for clause in getattr(match, "or_", None) or getattr(match, "and_", None) or [match]:
        if hasattr(clause, "or_") or hasattr(clause, "and_"):
            yield from names(clause, model_id)
        for kind in ("equals", "starts_with", "contains", "ends_with"):
            if value := getattr(clause, kind, None):
                yield value
    yield model_id
    yield f"{model_id}-latest"  # some have a pattern for a name, and a label for an id


def models() -> Iterator[tuple[str, ModelInfo]]:
    return ((provider.id, model) for provider in providers for model in provider.models)


def is_found(provider: str, model: ModelInfo) -> bool:
    prefix = PREFIXES.get(provider, provider)
    written = (f"{prefix}/{name}" for name in names(model.match, model.id))
    if provider.startswith("huggingface_"):
        written = (name.replace("_", "/", 1) for name in written)
    return any(BOOK.rates(name, NOW) for name in written)


def why_not(provider: str, model: ModelInfo) -> str | None:
    name = f"{provider}/{model.id}"
    return next((reason for pattern, reason in NO_TOKENS if re.search(pattern, name)), None)


def test_each_model_of_genai_prices_has_its_price_or_is_listed_with_a_reason():
    lost = [
        f"{provider}/{model.id}"
        for provider, model in models()
        if not is_found(provider, model) and not why_not(provider, model)
    ]
    assert lost == []


def test_each_reason_for_no_price_is_still_needed():
    unpriced = [f"{provider}/{m.id}" for provider, m in models() if not is_found(provider, m)]
    assert all(any(re.search(pattern, name) for name in unpriced) for pattern, _ in NO_TOKENS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_price_of_either_list_can_be_read(variant: Any):
    for provider, model in models():
        GenaiPrices().rates(split_name(f"{provider}/{model.id}"), NOW, variant)
    for name in json.loads(TARGET.read_text()):
        LitellmPrices().rates(split_name(name), variant)


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_a_variant_that_litellm_prices_has_a_price_where_the_lists_agree_on_the_standard(
    variant: Any,
):
    """Google's flex and priority, say, which genai-prices does not have."""
    unpriced = list[str]()
    for name, entry in candidates():
        ours, known = entry_rates(entry, ""), GenaiPrices().rates(name.anywhere, NOW, "standard")
        if variant not in entry or ours is None or known is None:
            continue
        agree = ours.tiers[0].input, ours.tiers[0].output
        if agree == (known.tiers[0].input, known.tiers[0].output):
            unpriced += [str(name)] if BOOK.rates(str(name), NOW, variant) is None else []
    assert unpriced == []


def test_the_file_of_litellms_prices_is_what_the_installed_list_says():
    """Fails after an update of CrewAI or genai-prices; then `python -m infra.price_list`."""
    assert json.loads(TARGET.read_text()) == price_list()


# Where the two lists disagree on a model of one and the same name, and ours is the cheaper price.
LISTS_DISAGREE = {
    "cloudflare/@cf/meta/llama-2-7b-chat-fp16": "https://developers.cloudflare.com/workers-ai/platform/pricing/",
    "cloudflare/@cf/mistral/mistral-7b-instruct-v0.1": "https://developers.cloudflare.com/workers-ai/platform/pricing/",
    "deepseek-chat": "https://api-docs.deepseek.com/quick_start/pricing",
    "deepseek/deepseek-chat": "https://api-docs.deepseek.com/quick_start/pricing",
    "deepseek/deepseek-v3.2": "https://api-docs.deepseek.com/quick_start/pricing",
    "novita/baai/bge-m3": "an embedding has no output",
    "novita/mindai/macaron-v1-tall": "https://novita.ai/pricing",
    "novita/mindai/macaron-v1-venti": "https://novita.ai/pricing",
    "xai/grok-code-fast-1": "https://docs.x.ai/docs/models",
}


# Of LiteLLM's list: $3,200 and $500 for a million tokens.
MISTAKEN = {"azure_ai/jais-30b-chat", "watsonx/core42/jais-13b-chat"}


def test_no_price_of_a_long_input_is_below_litellms():
    """But of what the lists disagree on in short ones, too, or the tier begins elsewhere."""
    below = {
        name
        for name, entry in candidates()
        if (theirs := entry_rates(entry, "")) and (ours := BOOK.rates(str(name), NOW))
        for tier in theirs.tiers[1:]
        if ours.tiers[0].input >= theirs.tiers[0].input
        and ours.tier(tier.above + 1).input < tier.input * 0.99
    }
    assert below == set()


def test_what_is_a_hundred_times_dearer_than_anything_is_taken_for_a_mistake():
    assert all(BOOK.rates(name, NOW) is None for name in MISTAKEN)
    dearest = BOOK.rates("openai/o1-pro", NOW)
    assert dearest is not None
    assert dearest.tiers[0].input == 150 * 10**9


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "2.00475"),
        ("bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0", "1.8225"),
        ("bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", "1.8225"),
    ],
)
def test_on_bedrock_a_long_input_costs_what_its_tier_says(name: str, usd: str):
    rates = BOOK.rates(name, NOW)
    assert rates is not None
    assert rates.cost_nanodollars(TokenCounts(300_000, output=1_000)) == Decimal(usd) * 10**9
    hour, short = rates.tiers[1].cache_write_1h, rates.tiers[0]
    assert hour * short.input == short.cache_write_1h * rates.tiers[1].input


def test_no_price_is_below_litellms_without_being_listed():
    below = {
        name
        for name, told in litellm_list().items()
        if told.get("mode") in {"chat", "completion", "embedding", "responses"}
        and (rates := BOOK.rates(name, NOW))
        and (
            rates.tiers[0].input < Decimal("0.99e15") * Decimal(told.get("input_cost_per_token") or 0)
            or (rates.tiers[0].output or 0)
            < Decimal("0.99e15") * Decimal(told.get("output_cost_per_token") or 0)
        )
    }  # fmt: skip
    assert below == LISTS_DISAGREE.keys()


def test_a_name_of_litellm_that_tells_its_provider_has_a_price():
    lost = [
        name
        for name, told in litellm_list().items()
        if told.get("mode") in {"chat", "completion", "embedding", "responses"}
        and told.get("input_cost_per_token")
        and "/" in name
        and BOOK.rates(name, NOW) is None
    ]
    assert set(lost) == MISTAKEN
