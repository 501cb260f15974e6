"""What holds for all prices: exact, never falling with tokens, never above the bound, readable again."""

from decimal import ROUND_CEILING, Decimal

from genai_prices import Usage as LibraryUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.prices import TOOL_WRAPPING_TOKENS, WRAPPING_TOKENS, bound, priced
from core.costs.rates import Rates, TierRates
from core.costs.token_counts import TokenCounts

BOOK = CataloguePriceBook()
NOW = 1_795_737_600_000
MODELS = [
    "openai/gpt-4o-mini", "openai/gpt-6-sol", "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-5-5",
    "gemini/gemini-2.5-pro", "us.anthropic.claude-opus-5-5", "dashscope/qwen3-max", "deepseek-chat",
    "perplexity/sonar-deep-research", "deepinfra/mixtral", "azure/eu/gpt-4o", "crewline/offline",
]  # fmt: skip

numbers = st.integers(0, 400_000)
some_rates = st.integers(0, 10**12)


@st.composite
def counts(draw: st.DrawFn, sent: int | None = None, received: int | None = None) -> TokenCounts:
    """Counts with at most so many tokens of input and output, split over the kinds in any way."""
    left, kinds = draw(numbers if sent is None else st.integers(0, sent)), list[int]()
    for _ in range(3):
        kinds.append(draw(st.integers(0, left)))
        left -= kinds[-1]
    output = draw(numbers if received is None else st.integers(0, received))
    return TokenCounts(left, *kinds, output=output, reasoning=draw(st.integers(0, output)))


@st.composite
def any_rates(draw: st.DrawFn) -> Rates:
    """Rates as no provider would make them: a longer input may be cheaper."""
    above = sorted(draw(st.sets(st.integers(1, 300_000), max_size=3)))
    tiers = tuple(
        TierRates(*(draw(some_rates) for _ in range(6)), above=start) for start in [0, *above]
    )
    return Rates("made up", tiers, draw(st.integers(0, 10**9)))


known_rates = st.sampled_from([found for model in MODELS if (found := BOOK.rates(model, NOW))])


@given(
    known_rates | any_rates(),
    st.integers(0, 300_000),
    st.integers(0, 50_000),
    st.booleans(),
    st.data(),
)
def test_no_call_costs_more_than_its_bound(
    rates: Rates, prompt_bytes: int, longest: int, has_tools: bool, data: st.DataObject
):
    most = bound(rates, prompt_bytes, longest, has_tools=has_tools)
    added = TOOL_WRAPPING_TOKENS if has_tools else WRAPPING_TOKENS
    tokens = data.draw(counts(prompt_bytes + added, longest))
    assert priced(rates, tokens).cost_nanodollars <= most.cost_nanodollars


@given(known_rates | any_rates(), st.integers(1, 300_000), st.integers(0, 50_000))
def test_a_bound_is_the_dearest_way_to_make_the_call(rates: Rates, sent: int, received: int):
    """With one tier no way is dearer and one is as dear; a longer input may be in another tier."""
    ways = [
        rates.cost_nanodollars(TokenCounts(**{kind: sent}, output=received, reasoning=thought))
        for kind in ("uncached_input", "cache_read", "cache_write_5m", "cache_write_1h")
        for thought in (0, received)
    ]
    most, dearest = rates.bound_nanodollars(sent, received), max(way or 0 for way in ways)
    assert most is not None
    assert most == dearest if len(rates.tiers) == 1 else most >= dearest


@given(known_rates, st.text())
def test_a_bound_has_a_token_for_each_byte_of_the_prompt(rates: Rates, prompt: str):
    encoded = prompt.encode("utf-8", "surrogatepass")
    assert bound(rates, len(encoded), 1).input_tokens >= len(encoded) >= len(prompt)


@given(known_rates, counts(), st.sampled_from(["uncached_input", "cache_read", "output"]))
def test_more_tokens_never_cost_less(rates: Rates, tokens: TokenCounts, kind: str):
    values = {name: getattr(tokens, name) for name in TokenCounts.__slots__}
    more = TokenCounts(**values | {kind: values[kind] + 1000})
    assert priced(rates, more).cost_nanodollars >= priced(rates, tokens).cost_nanodollars


@given(any_rates(), counts())
def test_a_price_is_the_exact_sum_of_its_parts_rounded_up_once(rates: Rates, tokens: TokenCounts):
    tier = rates.tier(tokens.input)
    exact = sum(
        Decimal(number) * Decimal(rate or 0)
        for number, rate in (
            (tokens.uncached_input, tier.input),
            (tokens.cache_read, tier.cache_read),
            (tokens.cache_write_5m, tier.cache_write_5m),
            (tokens.cache_write_1h, tier.cache_write_1h),
            (tokens.output - tokens.reasoning, tier.output),
            (tokens.reasoning, tier.reasoning),
        )
    ) + Decimal(0)
    expected = (exact / 1_000_000).to_integral_value(ROUND_CEILING) + rates.per_call
    assert rates.cost_nanodollars(tokens) == expected


@given(
    st.sampled_from(["gpt-4o-mini", "gpt-6-sol", "claude-sonnet-4-5", "claude-haiku-5-5", "gemini-2.5-pro"]),
    counts(),
)  # fmt: skip
def test_a_price_is_what_the_library_reckons(model: str, tokens: TokenCounts):
    """Where it has no price for an hour in the cache, five minutes' counts, as with us."""
    usage = LibraryUsage(
        input_tokens=tokens.input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
        output_tokens=tokens.output,
    )
    theirs = Decimal(calc_price(usage, model).total_price) * 1_000_000_000
    ours = BOOK.rates(model, NOW)
    assert ours is not None
    assert ours.cost_nanodollars(tokens) == int(theirs.to_integral_value(ROUND_CEILING))
