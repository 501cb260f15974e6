"""What a call costs, by genai-prices, in nano-dollars."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.genai_prices import GenaiPriceBook
from core.costs.prices import DEFAULT_OUTPUT_TOKENS, OFFLINE_MODEL, WRAPPING_TOKENS, bound, priced
from core.costs.usage import Usage

BOOK = GenaiPriceBook()
tokens = st.integers(0, 10_000_000)


@pytest.mark.parametrize(
    ("model", "nanodollars"),
    [
        ("openai/gpt-4o-mini", 1000 * 150 + 10 * 600),
        ("gpt-4o-mini", 1000 * 150 + 10 * 600),
        ("gemini/gemini-2.5-flash", 1000 * 300 + 10 * 2500),
        ("anthropic/claude-sonnet-4-5", 1000 * 3000 + 10 * 15_000),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", 1000 * 250 + 10 * 1250),
        ("openrouter/meta-llama/llama-3.1-8b-instruct", 1000 * 50 + 10 * 80),
    ],
)
def test_a_known_model_has_its_price(model: str, nanodollars: int):
    assert BOOK.cost_nanodollars(model, 1000, 10) == nanodollars


@pytest.mark.parametrize(
    "model", ["openai/nobody-knows-this", "nobody/gpt-4o", "ollama/llama3", "tiny", "", "/", "x/"]
)
def test_an_unknown_model_has_none(model: str):
    assert BOOK.cost_nanodollars(model, 1000, 10) is None
    assert priced(BOOK, model, 1000, 10) == Usage(1, 1000, 10, unpriced_calls=1)


def test_a_part_of_a_nanodollar_counts_as_one():
    assert BOOK.cost_nanodollars("google/gemini-flash-1.5-8b", 1, 0) == 38  # 37.5
    assert BOOK.cost_nanodollars("google/gemini-flash-1.5-8b", 2, 0) == 75


@given(tokens, tokens)
def test_a_price_is_exact_for_any_number_of_tokens(sent: int, received: int):
    assert (
        BOOK.cost_nanodollars("openai/gpt-4o-mini", sent, received) == sent * 150 + received * 600
    )


def test_the_offline_model_has_a_demonstration_price_that_says_so():
    assert priced(BOOK, OFFLINE_MODEL, 10, 2) == Usage(1, 10, 2, 10 * 100 + 2 * 400, demo_calls=1)


def test_tokens_in_the_cache_have_their_own_price():
    cost = BOOK.cost_nanodollars(
        "anthropic/claude-sonnet-4-5", 1000, 10, cache_read_tokens=600, cache_write_tokens=300
    )
    assert cost == 100 * 3000 + 600 * 300 + 300 * 3750 + 10 * 15_000


@given(
    st.sampled_from(["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"]),
    st.text(), st.integers(0, 10_000), st.data(),
)  # fmt: skip
def test_no_call_costs_more_than_its_bound(
    model: str, prompt: str, longest: int, data: st.DataObject
):
    most = bound(BOOK, model, len(prompt.encode("utf-8", "surrogatepass")), longest)
    sent = data.draw(st.integers(0, most.input_tokens))
    written = data.draw(st.integers(0, sent))
    received = data.draw(st.integers(0, longest))
    real = priced(BOOK, model, sent, received, cache_write_tokens=written)
    assert real.cost_nanodollars <= most.cost_nanodollars
    assert most.input_tokens >= len(prompt)


def test_a_bound_is_as_unpriced_or_pretended_as_its_model():
    sent, received = 100 + WRAPPING_TOKENS, DEFAULT_OUTPUT_TOKENS
    assert bound(BOOK, "nobody/knows", 100) == Usage(1, sent, received, unpriced_calls=1)
    assert bound(BOOK, OFFLINE_MODEL, 100, 7) == Usage(
        1, sent, 7, sent * 100 + 7 * 400, demo_calls=1
    )


def test_pricing_connects_to_nothing():
    with connections() as seen:
        BOOK.cost_nanodollars("openai/gpt-4o", 1, 1)
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
