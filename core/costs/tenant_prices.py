"""Tenant prices: what a tenant agreed on with providers, by model and from a day on.

They stand in front of the price lists, also for the names with a date that a provider gives the same model.
A process keeps those of each tenant with the version it read. When it prices a call by an older one, no
money is reserved, and it is told those that hold now (`Verdict.REPRICED`).
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from core.costs.model_names import split_name
from core.costs.price_lists import CHEAPER, Variant, entry_rates
from core.costs.prices import PriceBook
from core.costs.rates import Rates
from core.costs.rollup import QUARTER_MS, day_of

MOST_PRICES = 500  # of a tenant; a model counts once for each day from which it has others
TOO_MANY_PRICES = f"a tenant has {MOST_PRICES} prices at most"
ALWAYS = ""  # the first day of prices that hold from the beginning
SOURCE = "the tenant's own prices"
_KNOWN_TENANTS = 1024
_REMEMBERED = 4096  # rates; some change at half hours, none within a quarter


@dataclass(frozen=True, slots=True)
class Price:
    """An entry of a price list (`core.costs.price_lists`) that holds from a day (UTC) on.

    `model` is a name as `split_name` tells it.
    """

    model: str
    since: str
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TenantPrices:
    """All prices of a tenant, in order of model and day; `version` changes with any of them."""

    version: int = 0
    prices: tuple[Price, ...] = ()


NO_PRICES = TenantPrices()


class AgreedPrices(Protocol):
    """Port: the prices that tenants agreed on with providers.

    What waits for money is due at once when one of them changes. Each change returns the first
    `MOST_WOKEN` of these flows, so that workers can be woken for them.
    """

    async def of(self, tenant: str) -> TenantPrices:
        """Return all prices of a tenant."""
        ...

    async def save(self, tenant: str, price: Price) -> list[str]:
        """Store a price, in place of that of its model and day. Raises ConflictError beyond MOST_PRICES.

        Calls that are reserved from now on are priced by it.
        """
        ...

    async def delete(self, tenant: str, model: str, since: str | None = None) -> list[str]:
        """Remove a model's price from a day on, or all of the model. Raises NotFoundError."""
        ...


class TenantPriceBook:
    """PriceBook with a tenant's own prices in front of another book."""

    def __init__(self, book: PriceBook, prices: Iterable[Price]) -> None:
        self._book, self._of = book, dict[str, list[Price]]()
        self._rates_of_quarter = lru_cache(_REMEMBERED)(self._find)
        for price in sorted(prices, key=lambda each: each.since):
            self._of.setdefault(price.model, []).append(price)

    def rates(self, model: str, at_ms: int, variant: Variant = "standard") -> Rates | None:
        """Return the tenant's prices of a model; those of a model that it is the same as.

        The most exact one holds: of the model in its region, of it anywhere, of it without its date. A
        variant that it does not have is `_derived`.
        """
        return self._rates_of_quarter(model, at_ms // QUARTER_MS, variant)

    def models(self) -> Iterator[str]:
        """Yield the names of the tenant's models, then the book's."""
        yield from self._of
        yield from self._book.models()

    def _find(self, model: str, quarter: int, variant: Variant) -> Rates | None:
        name, at_ms = split_name(model), quarter * QUARTER_MS
        names = dict.fromkeys(map(str, (name, name.anywhere, name.undated)))
        entry = next(filter(None, (self._entry(each, at_ms) for each in names)), None)
        if entry is None:
            return self._book.rates(model, at_ms, variant)
        if "same_as" in entry:  # of the book: a price is not followed to another of the tenant's
            return self._book.rates(entry["same_as"], at_ms, variant)
        return entry_rates(entry, SOURCE, variant) or self._derived(entry, model, at_ms, variant)

    def _derived(
        self, entry: Mapping[str, Any], model: str, at_ms: int, variant: Variant
    ) -> Rates | None:
        """Return the prices of a variant that an own entry does not have; their source says how they were made.

        As many times the own ones as in the price list. Where that has none, a batch or flex call costs at most
        the own standard price; what may cost more is unpriced.
        """
        own = entry_rates(entry, f"{SOURCE}, standard: no {variant} is set or listed")
        listed = self._book.rates(model, at_ms, variant)
        standard = self._book.rates(model, at_ms)
        if own is None or listed is None or standard is None:
            return own if variant in CHEAPER else None
        return own.in_ratio(
            listed, standard, f"{SOURCE}, {variant} by the ratio of {listed.source}"
        )

    def _entry(self, name: str, at_ms: int) -> Mapping[str, Any] | None:
        if not (prices := self._of.get(name)):
            return None
        day = day_of(at_ms)
        begun = [price.entry for price in prices if price.since <= day]
        return begun[-1] if begun else None


@dataclass(frozen=True, slots=True)
class KnownBook:
    """A tenant's prices as a process knows them, and which version of them these are."""

    version: int
    book: PriceBook


@dataclass(frozen=True, slots=True)
class KnownPrices:
    """The prices of all tenants that a process has heard of; of others it knows the lists' only."""

    lists: PriceBook
    _books: OrderedDict[str, KnownBook] = field(default_factory=OrderedDict[str, KnownBook])

    def of(self, tenant: str) -> KnownBook:
        """Return a tenant's prices, of version 0 where none were learnt."""
        return self._books.get(tenant) or KnownBook(0, self.lists)

    def learn(self, tenant: str, agreed: TenantPrices) -> None:
        """Take the prices of a tenant as they are now; of too many tenants the first is forgotten."""
        self._books[tenant] = KnownBook(agreed.version, TenantPriceBook(self.lists, agreed.prices))
        if len(self._books) > _KNOWN_TENANTS:
            self._books.popitem(last=False)
