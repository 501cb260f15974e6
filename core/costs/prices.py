"""Prices: what a model call costs, and the most it may cost, known before it is made.

An unknown model is unpriced, never free.
"""

from typing import Protocol

from core.costs.usage import Usage

OFFLINE_MODEL = "crewline/offline"
# What the offline model pretends to cost, so that a demonstration shows money move. Nobody pays it.
DEMO_INPUT_NANODOLLARS = 100
DEMO_OUTPUT_NANODOLLARS = 400

# How much a model may answer where neither its settings nor a catalogue say. Most models stop
# far earlier; one that does not is settled at what it said.
DEFAULT_OUTPUT_TOKENS = 32_768
# What a provider adds to a prompt on its own: Anthropic says up to 804 tokens to explain tools,
# https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview#pricing
WRAPPING_TOKENS = 1_000


class PriceBook(Protocol):
    """Port: the price of a call, known locally; nothing here does I/O."""

    def cost_nanodollars(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        *,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> int | None:
        """Return the price of one call in nano-dollars, None if nobody knows the model.

        Tokens read from or written to the provider's cache are part of `input_tokens`.
        """
        ...


def priced(
    book: PriceBook,
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> Usage:
    """Return one call's usage with its price, its demonstration price, or marked as unpriced."""
    if model == OFFLINE_MODEL:
        cost = input_tokens * DEMO_INPUT_NANODOLLARS + output_tokens * DEMO_OUTPUT_NANODOLLARS
        return Usage(1, input_tokens, output_tokens, cost, demo_calls=1)
    price = book.cost_nanodollars(
        model,
        input_tokens,
        output_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
    )
    if price is None:
        return Usage(1, input_tokens, output_tokens, unpriced_calls=1)
    return Usage(1, input_tokens, output_tokens, price)


def bound(
    book: PriceBook, model: str, prompt_bytes: int, max_output_tokens: int | None = None
) -> Usage:
    """Return the most that a call may consume.

    `prompt_bytes` is the prompt as JSON in UTF-8, tools included. No tokenizer makes more tokens of
    a text than it has bytes, since a token stands for one byte at least. The price is that of the
    dearest way to read the prompt: as it is, or while writing all of it to a cache.
    """
    sent = prompt_bytes + WRAPPING_TOKENS
    received = DEFAULT_OUTPUT_TOKENS if max_output_tokens is None else max_output_tokens
    ways = (
        priced(book, model, sent, received),
        priced(book, model, sent, received, cache_write_tokens=sent),
    )
    return max(ways, key=lambda usage: usage.cost_nanodollars)
