"""Prices from the library genai-prices, out of the data it ships with: no network, no updating."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from genai_prices import __version__
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from core.costs.model_names import ModelName
from core.costs.price_lists import Variant, entry_rates
from core.costs.rates import Rates

_PROVIDERS = {provider.id: provider for provider in providers}
_SAME_LIST = {"google-vertex": "google"}  # the library has one list for both
# What the library's variants of a price are called: https://github.com/pydantic/genai-prices
_CONTEXTS: dict[Variant, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
_KINDS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
}
_FREE = ":free"  # OpenRouter's word for models at no price


class GenaiPrices:
    """The prices of the library at any time."""

    def rates(self, name: ModelName, at_ms: int, variant: Variant) -> Rates | None:
        """Return the prices of a model, None if the library does not have them.

        A variant counts from the day on which the library's authors saw its price.
        """
        found = _found(name.provider, name.model) or _found(name.provider, name.undated.model)
        if found is None:
            return None
        provider, model = found
        at, context = datetime.fromtimestamp(at_ms / 1000, UTC), _CONTEXTS[variant]
        if context and not _has_variant(provider, model, context, at):
            return None
        entry = _entry(model, model.get_prices(at, context))
        source = f"genai-prices {__version__}: {provider.id}/{model.id}"
        return entry_rates(entry, source) if entry else None

    def models(self) -> Iterator[str]:
        """Yield the names of the library's models, with their providers."""
        for provider in providers:
            yield from (f"{provider.id}/{model.id}" for model in provider.models)


@lru_cache(maxsize=1024)
def _found(provider_id: str, name: str) -> tuple[Provider, ModelInfo] | None:
    """The library's own cache keeps every name that anybody asks for."""
    provider = _PROVIDERS.get(_SAME_LIST.get(provider_id, provider_id))
    model = provider and provider.find_model(name, all_providers=providers)
    return (provider, model) if provider and model else None


def _has_variant(
    provider: Provider, model: ModelInfo, context: dict[str, str], at: datetime
) -> bool:
    """Another provider's model has no variants here: it is sold at that provider's plain price."""
    return any(model is own for own in provider.models) and any(
        variant.when.items() <= context.items()
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    )


def _entry(model: ModelInfo, prices: ModelPrice) -> dict[str, Any] | None:
    """Return the prices as an entry of a price list; None for a model that is not sold by tokens."""
    told = {ours: getattr(prices, theirs) for theirs, ours in _KINDS.items()}
    told = {kind: price for kind, price in told.items() if price is not None}
    if "input" not in told:
        return {"input": 0, "output": 0} if model.id.endswith(_FREE) else None
    starts = sorted(
        {
            tier.start
            for price in told.values()
            if isinstance(price, TieredPrices)
            for tier in price.tiers
        }
    )
    tiers = [{"above": start, **_at(told, start)} for start in starts]
    per_call = (getattr(prices, "requests_kcount", None) or Decimal(0)) / 1000
    return {**_at(told, 0), "tiers": tiers, "per_call": per_call}


def _at(told: dict[str, Decimal | TieredPrices], start: int) -> dict[str, Decimal]:
    """Return the prices of the tier that begins at `start`."""
    return {kind: _price(price, start) for kind, price in told.items()}


def _price(price: Decimal | TieredPrices, start: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return reached[-1] if reached else price.base
