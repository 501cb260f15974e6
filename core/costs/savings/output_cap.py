"""Output cap: answers that ran on until they were cut off, and are cut off earlier."""

from dataclasses import replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, rate, usd

MOST_SIZE = 24  # as a power of two: no answer has more tokens


def output_cap(spend: Spend, _known: Known) -> Found | None:
    """Cut answers that run on to a limit earlier: none that was of use was as long as the cap."""
    useful = [size for size in range(MOST_SIZE + 1) if spend.facts.get(f"out_n_{size}")]
    if not useful or spend.tier.output is None:
        return None
    cap, least = 2 ** useful[-1], 2 ** useful[-1] // 2 + 1  # the longest of use is between these
    tokens, calls = _beyond(spend, useful[-1] + 1, cap)
    most, _ = _beyond(spend, useful[-1], least)
    price = spend.paid(spend.tier.output) / PER_TOKENS
    saved = tokens * price
    recommendation = Recommendation(
        spend.target(Kind.OUTPUT_CAP, str(cap)),
        trigger="answers ran on until they were cut off, far beyond the longest that was of use",
        change=f"ask for at most {cap} tokens: `max_tokens` (`max_completion_tokens`, `max_output_tokens`) of the"
        f" request; in a crew, say in `expected_output` how long the answer is",
        formula=f"{count(tokens)} tokens beyond {cap:,} in {count(calls)} answers"
        f" x {rate(spend.paid(spend.tier.output))} = {usd(saved)}",
        money=money(saved, saved, most * price, spend),
        verified=True,
        evidence={"cut_answers": round(calls), "longest_useful_tokens_at_most": cap},
    )
    left = replace(spend.left, output=max(spend.left.reasoning, spend.left.output - tokens))
    return worth_it(Found(recommendation, replace(spend, left=left, capped=saved)))


def _beyond(spend: Spend, first: int, cap: int) -> tuple[float, float]:
    """Return how many tokens answers that were cut have beyond a cap, and how many answers."""
    sizes = range(first, MOST_SIZE + 1)
    calls = sum(spend.fact(f"cut_n_{size}") for size in sizes)
    return max(0.0, sum(spend.fact(f"cut_{size}") for size in sizes) - calls * cap), calls
