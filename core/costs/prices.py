"""Prices: what a model call costs, and the most it may cost, known before it is made.

An unknown model is unpriced, never free. docs/costs.md says where a price is looked for.
"""

from collections.abc import Iterable
from typing import Protocol

from core.costs.model_names import split_name
from core.costs.price_lists import Variant
from core.costs.rates import Rates, TierRates
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage

OFFLINE_MODEL = "crewline/offline"
# What the offline model pretends to cost, so that a demonstration shows money move. Nobody pays it.
_DEMO_INPUT, _DEMO_OUTPUT = 100 * 10**6, 400 * 10**6
DEMO_RATES = Rates(
    "demonstration",
    (TierRates(_DEMO_INPUT, _DEMO_INPUT, _DEMO_INPUT, _DEMO_INPUT, _DEMO_OUTPUT, _DEMO_OUTPUT),),
)
# Programs that run a model on a computer of one's own: nobody bills a call.
_OWN_COMPUTER = frozenset({"ollama", "lm_studio", "llamafile"})
_ON_OLLAMAS_COMPUTERS = ("-cloud", ":cloud")  # https://docs.ollama.com/cloud
FREE_RATES = Rates("runs on a computer of one's own", (TierRates(0, 0, 0, 0, 0, 0),))

# How much a model may answer where neither its settings nor a catalogue say. Most models stop
# far earlier; one that does not is settled at what it said.
DEFAULT_OUTPUT_TOKENS = 32_768
# What a provider adds to a prompt on its own, beside what each message's JSON is longer than its text. To
# explain tools, Anthropic says up to 804 tokens,
# https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview#pricing
TOOL_WRAPPING_TOKENS = 1_000
# Without tools, dates and channels: some 80 tokens of the longest that is published (gpt-oss),
# https://github.com/openai/harmony/blob/main/docs/format.md
WRAPPING_TOKENS = 256


class PriceBook(Protocol):
    """Port: prices known locally; nothing here does I/O."""

    def rates(self, model: str, at_ms: int, variant: Variant = "standard") -> Rates | None:
        """Return the prices of a call that begins at `at_ms`, None if nobody knows them.

        `model` is a name as CrewAI or LiteLLM writes it. A variant that a model is not known to have
        has no price.
        """
        ...

    def models(self) -> Iterable[str]:
        """Return names of models that have a price, to tell which may have been meant; some twice."""
        ...


def rates_of(
    book: PriceBook, model: str, at_ms: int, variant: Variant = "standard"
) -> Rates | None:
    """Return the prices of a call of any model, None if nobody knows them.

    The offline model has its demonstration price. A model on a computer of one's own costs nothing,
    unless the book knows better.
    """
    if model == OFFLINE_MODEL:
        return DEMO_RATES
    rates = book.rates(model, at_ms, variant)
    return FREE_RATES if rates is None and _runs_on_own_computer(model) else rates


def _runs_on_own_computer(model: str) -> bool:
    name = split_name(model)
    return name.provider in _OWN_COMPUTER and not name.model.endswith(_ON_OLLAMAS_COMPUTERS)


def priced(rates: Rates | None, tokens: TokenCounts) -> Usage:
    """Return one call's usage with its price, its demonstration price, or marked as unpriced."""
    cost = rates.cost_nanodollars(tokens) if rates else None
    return Usage(
        1,
        tokens.input,
        tokens.output,
        cost or 0,
        unpriced_calls=int(cost is None),
        demo_calls=int(cost is not None and rates is not None and _is_demo(rates)),
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        reasoning_tokens=tokens.reasoning,
    )


def bound(
    rates: Rates | None,
    prompt_bytes: int,
    max_output_tokens: int | None = None,
    *,
    has_tools: bool = True,
) -> Usage:
    """Return the most that a call may consume.

    `prompt_bytes` is the prompt as JSON in UTF-8, tools included; `has_tools`: whether it has any. No tokenizer makes more tokens of
    a text than it has bytes, since a token stands for one byte at least. The price is that of the
    dearest way to make the call: the dearest tier it may reach, with all of its prompt written to a
    cache, if that costs more than reading it.
    """
    sent = prompt_bytes + (TOOL_WRAPPING_TOKENS if has_tools else WRAPPING_TOKENS)
    received = DEFAULT_OUTPUT_TOKENS if max_output_tokens is None else max_output_tokens
    cost = rates.bound_nanodollars(sent, received) if rates else None
    if rates is None or cost is None:
        return Usage(1, sent, received, unpriced_calls=1)
    return Usage(1, sent, received, cost, demo_calls=int(_is_demo(rates)))


def _is_demo(rates: Rates) -> bool:
    return rates.source == DEMO_RATES.source
