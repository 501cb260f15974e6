"""Prices from LiteLLM's list, of models that genai-prices lacks: a file that `infra.price_list` writes."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from core.costs.model_names import ModelName
from core.costs.price_lists import Variant, entry_rates
from core.costs.rates import Rates

_FILE = Path(__file__).with_name("litellm_prices.json")


class LitellmPrices:
    """The prices of the file; it knows no dates."""

    def rates(self, name: ModelName, variant: Variant) -> Rates | None:
        """Return the prices of a model that is written as it stands in the file, None without.

        Of some models the file has variants alone: genai-prices has their standard price.
        """
        entry = _entries().get(str(name))
        if entry is None or (variant == "standard" and "input" not in entry):
            return None
        return entry_rates(entry, f"LiteLLM: {name}", variant)

    def models(self) -> Iterator[str]:
        """Yield the names of the file."""
        yield from _entries()


@cache
def _entries() -> dict[str, dict[str, Any]]:
    return json.loads(_FILE.read_text("utf-8"))
