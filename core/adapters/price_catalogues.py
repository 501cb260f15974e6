"""PriceBook over the two price lists that come with the code."""

from core.adapters.genai_prices import GenaiPrices
from core.adapters.litellm_prices import LitellmPrices
from core.costs.model_names import split_name
from core.costs.price_lists import Variant
from core.costs.rates import Rates


class CataloguePriceBook:
    """The price of a model in its region, then anywhere, then of the model without its date."""

    def __init__(self) -> None:
        self._genai, self._litellm = GenaiPrices(), LitellmPrices()

    def rates(self, model: str, at_ms: int, variant: Variant = "standard") -> Rates | None:
        """Return the prices of a call, None if neither list has the model."""
        name = split_name(model)
        return (
            self._litellm.rates(name, variant)
            or self._litellm.rates(name.anywhere, variant)
            or self._genai.rates(name, at_ms, variant)
            or self._litellm.rates(name.undated, variant)
        )
