"""Prices: what a model call costs. An unknown model is unpriced, never free."""

from typing import Protocol

from core.costs.usage import Usage

OFFLINE_MODEL = "crewline/offline"
# What the offline model pretends to cost, so that a demonstration shows money move. Nobody pays it.
DEMO_INPUT_NANODOLLARS = 100
DEMO_OUTPUT_NANODOLLARS = 400


class PriceBook(Protocol):
    """Port: the price of a call, known locally; nothing here does I/O."""

    def cost_nanodollars(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        """Return the price of one call in nano-dollars, None if nobody knows the model."""
        ...


def priced(book: PriceBook, model: str, input_tokens: int, output_tokens: int) -> Usage:
    """Return one call's usage with its price, its demonstration price, or marked as unpriced."""
    if model == OFFLINE_MODEL:
        cost = input_tokens * DEMO_INPUT_NANODOLLARS + output_tokens * DEMO_OUTPUT_NANODOLLARS
        return Usage(1, input_tokens, output_tokens, cost, demo_calls=1)
    price = book.cost_nanodollars(model, input_tokens, output_tokens)
    if price is None:
        return Usage(1, input_tokens, output_tokens, unpriced_calls=1)
    return Usage(1, input_tokens, output_tokens, price)
