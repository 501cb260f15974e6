"""PriceBook over the two price lists that come with the code."""

from collections.abc import Iterator
from functools import lru_cache

from core.adapters.genai_prices import GenaiPrices
from core.adapters.litellm_prices import LitellmPrices
from core.costs.model_names import split_name
from core.costs.price_lists import Variant
from core.costs.rates import Rates
from core.costs.rollup import QUARTER_MS

REMEMBERED = 4096  # prices; some change at half hours, none within a quarter


class CataloguePriceBook:
    """The price of a model in its region, then anywhere, then of the model without its date."""

    def __init__(self) -> None:
        self._genai, self._litellm = GenaiPrices(), LitellmPrices()
        self._rates_of_quarter = lru_cache(REMEMBERED)(self._find)

    def rates(self, model: str, at_ms: int, variant: Variant = "standard") -> Rates | None:
        """Return the prices of a call, None if neither list has the model."""
        return self._rates_of_quarter(model, at_ms // QUARTER_MS, variant)

    def models(self) -> Iterator[str]:
        """Yield the names of the models of both lists, some of them twice."""
        yield from self._genai.models()
        yield from self._litellm.models()

    def _find(self, model: str, quarter: int, variant: Variant) -> Rates | None:
        name, at_ms = split_name(model), quarter * QUARTER_MS
        return (
            self._litellm.rates(name, variant)
            or self._litellm.rates(name.anywhere, variant)
            or self._genai.rates(name, at_ms, variant)
            or self._litellm.rates(name.undated, variant)
        )
