"""Token counts: what one model call consumed, by the kinds that have prices of their own."""

from dataclasses import dataclass

MOST_TOKENS = 10_000_000  # of one kind in one call; no model takes as many


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one call. Every token of its input is of one kind, so the kinds add up to it.

    `uncached_input` was read anew, `cache_read` came from the provider's cache, and what was written
    to the cache stays there for five minutes or for an hour. `reasoning` is the part of `output`
    that nobody is shown. Raises ValueError for a count that cannot be.
    """

    uncached_input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    def __post_init__(self) -> None:
        counts = (
            self.uncached_input, self.cache_read, self.cache_write_5m, self.cache_write_1h,
            self.output, self.reasoning,
        )  # fmt: skip
        if min(counts) < 0 or max(counts) > MOST_TOKENS:
            raise ValueError(f"a count is not between 0 and {MOST_TOKENS}")
        if self.reasoning > self.output:
            raise ValueError("reasoning is more than the output that it is part of")

    @property
    def input(self) -> int:
        """All tokens of the input."""
        return self.uncached_input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_write(self) -> int:
        """All tokens that were written to the cache."""
        return self.cache_write_5m + self.cache_write_1h
