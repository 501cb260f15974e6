"""What a task's calls of one model cost, and what of that is left once recommendations are followed.

Savings do not add: who sends half of the tokens saves half as much by caching them. So each kind of
recommendation counts on what the ones before it leave, and hands on what it leaves itself.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import add

from core.costs.cells import SUMS, Cell
from core.costs.facts import Facts
from core.costs.prices import DEMO_RATES, PriceBook, rates_of
from core.costs.rates import PER_TOKENS, Rates, TierRates
from core.costs.rollup import FOLDED, NAMELESS
from core.costs.savings.recommendation import Kind, Target
from core.costs.usage import Usage

Names = tuple[str, str, str, str]  # crew, task, agent, model
Task = tuple[str, str]  # crew, task
MOST_SPENDS = 300  # that are looked at
_BY_DAY = "effort_"  # facts that are kept by day as well
_COST = SUMS.index("cost_nanodollars")


@dataclass(frozen=True, slots=True)
class Left:
    """What is still consumed; fractions of tokens, since changes are counted by shares.

    `reasoning` is part of the `output`. `dearer`: what tiers add to the price, in nano-dollars.
    """

    calls: float = 0
    uncached: float = 0
    read: float = 0
    written_5m: float = 0
    written_1h: float = 0
    output: float = 0
    reasoning: float = 0
    dearer: float = 0

    @property
    def input(self) -> float:
        return self.uncached + self.read + self.written_5m + self.written_1h

    def times(self, share: float) -> "Left":
        """Return this share of all."""
        names = self.__slots__
        return Left(*(getattr(self, name) * share for name in names))

    def input_cost(self, tier: TierRates) -> float:
        """Return what the input costs, in nano-dollars."""
        short = self.uncached * tier.input + self.read * tier.cache_read
        return (short + self.written_5m * tier.cache_write_5m + self.written_1h * tier.cache_write_1h) / PER_TOKENS  # fmt: skip

    def cost(self, rates: Rates) -> float | None:
        """Return what it costs in the first tier, and what tiers add; None where a price is missing."""
        tier = rates.tiers[0]
        if self.output and (tier.output is None or tier.reasoning is None):
            return None
        plain, hidden = self.output - self.reasoning, self.reasoning
        said = (plain * (tier.output or 0) + hidden * (tier.reasoning or 0)) / PER_TOKENS
        return self.calls * rates.per_call + self.input_cost(tier) + said + self.dearer


@dataclass(frozen=True, slots=True)
class Spend:
    """What calls of the same names consumed in a period, and what is left of it.

    `scale` is what they cost in truth, by what they would by these rates: a price may have changed, or a
    tenant pay another. `share` is which part of the recorded calls is still made: facts count so much less.
    `days` are the facts of each day of reasoning efforts. `dropped` are repeated input tokens that are
    not sent any more, `capped` nano-dollars that shorter answers save on calls that failed.
    """

    names: Names
    usage: Usage
    facts: Facts
    days: Mapping[str, Facts]
    rates: Rates
    left: Left
    scale: float
    share: float = 1.0
    dropped: float = 0.0
    capped: float = 0.0
    is_uncached: bool = False  # it is recommended not to use the cache
    is_replaced: bool = False  # another model is recommended

    @property
    def model(self) -> str:
        return self.names[-1]

    @property
    def tier(self) -> TierRates:
        return self.rates.tiers[0]

    @property
    def sure(self) -> int:
        """What the calls cost for sure, in nano-dollars."""
        return self.usage.cost_nanodollars - self.usage.lost_nanodollars

    @property
    def cost(self) -> float:
        """What is left of the cost, in nano-dollars."""
        return self.priced(self.left, self.rates) or 0.0

    @property
    def lowered(self) -> float:
        """What is left of a call's cost after the changes before, which count for any model."""
        before = self.sure * self.share
        return min(1.0, self.cost / before) if before else 1.0

    @property
    def answers_at_once(self) -> bool:
        """Tell whether each answer took one call, but for ones that were made again."""
        again = self.facts.get("wasted_error_n", 0)
        return self.usage.calls - self.usage.lost_calls - again <= self.facts.get("tries", 0)

    def priced(self, left: Left, rates: Rates) -> float | None:
        """Return what this would cost, in nano-dollars as they are in truth."""
        cost = left.cost(rates)
        return None if cost is None else cost * self.scale

    def paid(self, rate: int) -> float:
        """Return what a rate is in truth, in nano-dollars for a million tokens."""
        return rate * self.scale

    def fact(self, name: str) -> float:
        """Return a fact, of the calls that are still made."""
        return self.facts.get(name, 0) * self.share

    def target(self, kind: Kind, to: str = "") -> Target:
        return Target(kind, *self.names, to)

    def fewer(self, saved: float) -> "Spend":
        """Return what is left when so many nano-dollars of calls are not made any more."""
        share = 1 - min(1.0, saved / self.cost) if self.cost else 1.0
        return replace(self, left=self.left.times(share), share=self.share * share)


@dataclass(frozen=True, slots=True)
class Known:
    """All that recommendations may draw on: prices as of `at_ms`, and what other calls have shown."""

    book: PriceBook
    at_ms: int
    spends: Mapping[Names, Spend] = field(default_factory=dict[Names, Spend])
    critical: Container[Task] = frozenset[Task]()

    @classmethod
    def of(cls, book: PriceBook, at_ms: int, record: "Record") -> "Known":
        """Return what is known of a period."""
        return cls(book, at_ms, record.spends(book, at_ms), record.critical)

    def rates(self, model: str) -> Rates | None:
        """Return the rates of a model; None for one without a price, or with a pretended one."""
        return real_rates(self.book, model, self.at_ms)

    def of_task(self, spend: Spend) -> list[Spend]:
        """Return what was spent on the same task by the same agent, with other models."""
        same = [each for names, each in self.spends.items() if names[:3] == spend.names[:3]]
        return [each for each in same if each.model != spend.model]

    def is_critical(self, spend: Spend) -> bool:
        """Tell whether any call of the task was said to be of critical quality, or one that lost its name."""
        return spend.names[:2] in self.critical or NAMELESS[:2] in self.critical


def real_rates(book: PriceBook, model: str, at_ms: int) -> Rates | None:
    """Return the rates by which somebody is billed."""
    rates = rates_of(book, model, at_ms)
    return None if rates is None or rates.source == DEMO_RATES.source else rates


class Record:
    """What is recorded of a period: cells, summed up as they are read, piece by piece."""

    def __init__(self) -> None:
        self._sums: dict[Names, Sequence[int]] = {}
        self._facts = dict[Names, dict[str, int]]()
        self._days = dict[Names, dict[str, dict[str, int]]]()
        self.critical = set[Task]()  # tasks that any call of was critical

    def take(self, cells: Iterable[Cell]) -> None:
        """Add cells of any days."""
        for cell in cells:
            crew, task, agent, _, model = cell.names
            names = crew, task, agent, model
            known = self._sums.get(names)
            self._sums[names] = cell.sums if known is None else tuple(map(add, known, cell.sums))
            facts = cell.facts
            _add(self._facts.setdefault(names, {}), facts)
            if facts.get("quality_critical"):
                self.critical.add((crew, task))
            if by_day := {name: n for name, n in facts.items() if name.startswith(_BY_DAY)}:
                _add(self._days.setdefault(names, {}).setdefault(cell.day, {}), by_day)

    @property
    def usage(self) -> Usage:
        """What all calls consumed."""
        return Usage(*map(sum, zip(*self._sums.values(), strict=True))) if self._sums else Usage()

    def spends(self, book: PriceBook, at_ms: int) -> dict[Names, Spend]:
        """Return what can be saved on: what has a price, and names that nothing was folded to.

        Of very many names, those that cost most.
        """
        dearest = sorted(self._sums, key=lambda names: (-self._sums[names][_COST], names))
        named = [names for names in dearest if FOLDED not in names][:MOST_SPENDS]
        every = {
            names: _spend(
                names,
                Usage(*self._sums[names]),
                self._facts[names],
                self._days.get(names, {}),
                real_rates(book, names[-1], at_ms),
            )
            for names in sorted(named)
        }
        return {names: spend for names, spend in every.items() if spend is not None}


def _add(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value


def _spend(
    names: Names, usage: Usage, facts: Facts, days: Mapping[str, Facts], rates: Rates | None
) -> Spend | None:
    left = _left(usage, facts)
    cost = left.cost(rates) if rates else None
    sure = usage.cost_nanodollars - usage.lost_nanodollars
    if rates is None or not cost or sure <= 0:
        return None
    return Spend(names, usage, facts, days, rates, left, sure / cost)


def _left(usage: Usage, facts: Facts) -> Left:
    hour = min(facts.get("write_1h", 0), usage.cache_write_tokens)
    return Left(
        calls=usage.calls,
        uncached=usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        read=usage.cache_read_tokens,
        written_5m=usage.cache_write_tokens - hour,
        written_1h=hour,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
        dearer=facts.get("tier_extra", 0),
    )
