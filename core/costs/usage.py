"""Usage: what model calls consumed, and what that cost, in integer nano-dollars.

One nano-dollar is 1e-9 USD: one gpt-4o-mini input token is 150 of them, so sums stay exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import add, attrgetter, sub


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of some model calls; adds up with `+`, and `-` takes back.

    `unpriced_calls` counts calls whose price nobody knows: the cost is then a lower bound, and
    never silently zero. `demo_calls` counts calls at the offline model's demonstration price.
    `lost_calls` counts those of which nobody said what they cost: their bound is counted, and that part
    of the cost is `lost_nanodollars`. So is that of `estimated_calls`, which counted by the length of
    their text. Tokens read from or written to a provider's cache are part of the input, those of
    reasoning of the output.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanodollars: int = 0
    unpriced_calls: int = 0
    demo_calls: int = 0
    lost_calls: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    lost_nanodollars: int = 0
    estimated_calls: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*map(add, _sums(self), _sums(other)))

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(*map(sub, _sums(self), _sums(other)))

    @staticmethod
    def total(usages: Iterable["Usage"]) -> "Usage":
        """Return the sum of any number."""
        columns = zip(*map(_sums, usages), strict=True)
        return Usage(*map(sum, columns))

    def lost(self) -> "Usage":
        """Return what a call of this bound counts as that nobody settles."""
        return self + Usage(lost_calls=1, lost_nanodollars=self.cost_nanodollars)

    def public(self) -> dict[str, int]:
        """The sums as JSON."""
        return dict(zip(_NAMES, _sums(self), strict=True))


_NAMES = tuple(field.name for field in fields(Usage))
_sums = attrgetter(*_NAMES)
