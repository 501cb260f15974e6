"""Fewer tokens in a call: answers that run on, prompts in a dearer tier, rounds that are sent again."""

from dataclasses import replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, count, money, rate, usd, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend

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
    told = Recommendation(
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
    return worth_it(Found(told, replace(spend, left=left, capped=saved)))


def _beyond(spend: Spend, first: int, cap: int) -> tuple[float, float]:
    """Return how many tokens answers that were cut have beyond a cap, and how many answers."""
    sizes = range(first, MOST_SIZE + 1)
    calls = sum(spend.fact(f"cut_n_{size}") for size in sizes)
    return max(0.0, sum(spend.fact(f"cut_{size}") for size in sizes) - calls * cap), calls


def tier_avoidance(spend: Spend, _known: Known) -> Found | None:
    """Keep prompts below the size from which all their tokens are dearer."""
    extra, over, calls = (
        spend.left.dearer * spend.scale,
        spend.fact("tier_over"),
        spend.fact("tier_n"),
    )
    if not extra or len(spend.rates.tiers) == 1:
        return None
    above = spend.rates.tiers[1].above
    told = Recommendation(
        spend.target(Kind.TIER_AVOIDANCE),
        trigger=f"prompts of more than {above:,} tokens, from which the model is dearer",
        change=f"split the task's input into parts, or shorten it, so that no prompt has more than {above:,} tokens",
        formula=f"{count(calls)} calls cost {usd(extra)} more than at the price below {above:,} tokens; up to"
        f" {count(over)} tokens x {rate(spend.paid(spend.tier.input))} if they are not sent at all",
        money=money(extra, extra, extra + over * spend.paid(spend.tier.input) / PER_TOKENS, spend),
        verified=False,
        evidence={"dearer_calls": round(calls), "tokens_beyond": round(over), "tier_above": above},
    )
    return worth_it(Found(told, replace(spend, left=replace(spend.left, dearer=0.0))))


def context_reduction(spend: Spend, _known: Known) -> Found | None:
    """Send an agent's last round only, not all that its tools said before."""
    left, tier = spend.left, spend.tier
    tokens = min(spend.fact("older_rounds"), left.uncached + left.read)
    read = min(tokens, left.read)  # a cache has them first: they were sent before
    now = (read * tier.cache_read + (tokens - read) * tier.input) * spend.scale / PER_TOKENS
    prices = sorted((tier.cache_read, tier.input))
    low, high = (tokens * price * spend.scale / PER_TOKENS for price in prices)
    told = Recommendation(
        spend.target(Kind.CONTEXT_REDUCTION),
        trigger="an agent sends what its tools answered in earlier rounds again with each further round",
        change="have the task's tools answer only what is needed (a page, a few columns), or part the task in two, so"
        " that later rounds begin without the earlier ones",
        formula=f"{count(tokens)} tokens of earlier rounds, {count(read)} of them at {rate(spend.paid(tier.cache_read))} and"
        f" the rest at {rate(spend.paid(tier.input))} = {usd(now)}",
        money=money(now, low, high, spend),
        verified=False,
        evidence={"tokens_of_earlier_rounds": round(tokens), "input_tokens": round(left.input)},
    )
    rest = replace(left, read=left.read - read, uncached=left.uncached - (tokens - read))
    return worth_it(Found(told, replace(spend, left=rest, dropped=spend.dropped + tokens)))
