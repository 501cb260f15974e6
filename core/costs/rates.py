"""Rates: the prices of one model at one time, as exact integers, and what a call costs by them.

A priced call keeps its rates, so that its cost can be explained and reckoned again.
A rate is in nano-dollars for a million tokens: $0.15 are 150,000,000. A price list with more than nine
decimals is rounded up to them.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from core.costs.token_counts import TokenCounts

PER_TOKENS = 1_000_000
MOST_RATE = 10**14  # $100,000 for a million tokens
MOST_TIERS = 8
KINDS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")


@dataclass(frozen=True, slots=True)
class TierRates:
    """Nano-dollars for a million tokens of each kind, in calls of more than `above` input tokens.

    `output` is None for a model that answers no text, such as one for embeddings.
    """

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int | None
    reasoning: int | None
    above: int = 0

    @property
    def dearest_input(self) -> int:
        """The rate of the dearest way to read a token."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)

    @property
    def dearest_output(self) -> int | None:
        """The rate of the dearest way to answer a token, None if there is none."""
        return None if self.output is None else max(self.output, self.reasoning or 0)


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices of one model, and who says so.

    `tiers` rise by `above`, from 0; the last one that the input exceeds counts for all tokens of a
    call. `per_call` are nano-dollars of each call.
    """

    source: str
    tiers: tuple[TierRates, ...]
    per_call: int = 0

    def cost_nanodollars(self, tokens: TokenCounts) -> int | None:
        """Return what a call costs, rounded up once; None where a kind of it has no price."""
        tier = self.tier(tokens.input)
        if tokens.output and (tier.output is None or tier.reasoning is None):
            return None
        total = (
            tokens.uncached_input * tier.input
            + tokens.cache_read * tier.cache_read
            + tokens.cache_write_5m * tier.cache_write_5m
            + tokens.cache_write_1h * tier.cache_write_1h
            + (tokens.output - tokens.reasoning) * (tier.output or 0)
            + tokens.reasoning * (tier.reasoning or 0)
        )
        return self.per_call + -(-total // PER_TOKENS)

    @property
    def first_tier(self) -> "Rates":
        """The rates as they would be if no input were too long for the first tier."""
        return Rates(self.source, self.tiers[:1], self.per_call)

    def in_ratio(self, of: "Rates", to: "Rates", source: str) -> "Rates":
        """Return the rates, each as many times as high as that of `of` is to that of `to`, rounded up.

        By their first tiers; where `to` is 0 or has no such price, unchanged.
        """
        first, second = of.tiers[0], to.tiers[0]

        def scaled(tier: TierRates, name: str) -> int | None:
            own, over, under = (getattr(each, name) for each in (tier, first, second))
            if own is None or over is None or not under:
                return own
            return min(MOST_RATE, -(-own * over // under))

        tiers = (
            replace(tier, **{name: scaled(tier, name) for name in KINDS}) for tier in self.tiers
        )
        return Rates(source, tuple(tiers), self.per_call)

    def bound_nanodollars(self, input_tokens: int, output_tokens: int) -> int | None:
        """Return the most that a call of up to so many tokens can cost, whatever is cached.

        A longer input may be cheaper, by its tier, than a shorter one: the dearest counts.
        """
        tiers = [tier for tier in self.tiers if tier.above == 0 or tier.above < input_tokens]
        outputs = [tier.dearest_output for tier in tiers]
        if output_tokens and None in outputs:
            return None
        sent = input_tokens * max(tier.dearest_input for tier in tiers)
        received = output_tokens * max(output or 0 for output in outputs)
        return self.per_call + -(-(sent + received) // PER_TOKENS)

    def tier(self, input_tokens: int) -> TierRates:
        """Return the rates of a call with so many input tokens."""
        if len(self.tiers) == 1:
            return self.tiers[0]
        return next(
            (tier for tier in reversed(self.tiers) if input_tokens > tier.above), self.tiers[0]
        )

    def public(self) -> dict[str, Any]:
        """The rates as JSON."""
        return asdict(self) | {"tiers": [asdict(tier) for tier in self.tiers]}


def rising(tiers: tuple[TierRates, ...]) -> tuple[TierRates, ...]:
    """Return the tiers. Raises ValueError unless they begin at 0 and rise, and are few."""
    starts = [tier.above for tier in tiers]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)) or len(starts) > MOST_TIERS:
        raise ValueError(f"tiers begin at 0 and rise; at most {MOST_TIERS}")
    return tiers
