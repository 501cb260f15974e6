"""Context reduction: what tools said in earlier rounds, which is sent again with each further one."""

from dataclasses import replace

from core.costs.rates import PER_TOKENS
from core.costs.savings.found import Found, money, worth_it
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.spend import Known, Spend
from core.costs.savings.texts import count, rate, usd


def context_reduction(spend: Spend, _known: Known) -> Found | None:
    """Send an agent's last round only, not all that its tools said before."""
    left, tier = spend.left, spend.tier
    tokens = min(spend.fact("older_rounds"), left.uncached + left.read)
    read = min(tokens, left.read)  # a cache has them first: they were sent before
    now = (read * tier.cache_read + (tokens - read) * tier.input) * spend.scale / PER_TOKENS
    prices = sorted((tier.cache_read, tier.input))
    low, high = (tokens * price * spend.scale / PER_TOKENS for price in prices)
    recommendation = Recommendation(
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
    return worth_it(
        Found(recommendation, replace(spend, left=rest, dropped=spend.dropped + tokens))
    )
