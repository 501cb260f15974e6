"""Writes core/adapters/litellm_prices.json: `python -m infra.price_list`, after CrewAI was updated.

CrewAI ships with LiteLLM's price list (MIT, https://github.com/BerriAI/litellm). Taken from it are the
models that genai-prices does not have; of those that it takes for another one, or that a cloud sells in
its regions, the ones that are dearer than it says; and those of which it does not know that a longer input
is dearer; and variants (batch, flex, priority) of models
of which it knows the standard price alone, as entries without `input`. Prices a hundred times those of others are mistakes, and left out. The functions do not have
CrewAI, hence a file.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.adapters.genai_prices import GenaiPrices
from core.costs.model_names import ModelName, split_name
from core.costs.price_lists import VARIANTS, Variant, entry_rates
from core.costs.rates import Rates

TARGET = Path(__file__).parent.parent / "core" / "adapters" / "litellm_prices.json"
AS_OF_MS = 1_795_744_800_000  # 2026-11-27, 02:00 UTC, when DeepSeek is dearest: by this genai-prices is compared
_MODES = frozenset({"chat", "completion", "embedding", "responses"})
_CLOUDS = frozenset({"aws", "azure", "google-vertex"})
# USD for a million tokens; the dearest models known cost 150 and 600, embeddings 0.2.
_MOST_USD = {"input": 300, "output": 1_200}
_MOST_EMBEDDING_USD = 5
_MOST_CHARACTERS = 120  # longer ones are provisioned throughput by region

_KINDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
_RATES = frozenset(_KINDS.values())
_VARIANTS = {"": "standard", "_batches": "batch", "_flex": "flex", "_priority": "priority"}
_FIELD = re.compile(
    rf"(?P<kind>{'|'.join(sorted(_KINDS, key=len, reverse=True))})"
    r"(?:_above_(?P<above>\d+)k_tokens)?(?P<variant>_batches|_flex|_priority)?"
)
_Prices = dict[str, dict[int, dict[str, str]]]  # by variant, beginning of the tier, and kind


def price_list() -> dict[str, dict[str, Any]]:
    """Return the entries to keep, by canonical name."""
    kept: dict[str, dict[str, Any]] = {}
    for name, entry in candidates():
        known = GenaiPrices().rates(name.anywhere, AS_OF_MS, "standard")
        taken = entry if _is_needed(name, entry, known) else _with_its_tiers(name, entry, known)
        taken = taken or _with_its_variants(name, entry, known)
        other = kept.get(str(name), {})
        if taken and "input" not in other | taken:
            kept[str(name)] = taken | other  # each may have variants that the other lacks
        elif taken and (not other or _is_dearer(taken, other)):
            kept[str(name)] = taken
    return dict(sorted(kept.items()))


def litellm_list() -> dict[str, dict[str, Any]]:
    """Return LiteLLM's list, without loading CrewAI for it."""
    crewai = find_spec("crewai")
    if crewai is None or crewai.origin is None:
        raise SystemExit("CrewAI is not installed")
    folder = Path(crewai.origin).parent / "llms" / "litellm_catalog"
    text = (folder / "model_prices_and_context_window.json").read_text("utf-8")
    return json.loads(text, parse_float=Decimal)


def candidates() -> Iterator[tuple[ModelName, dict[str, Any]]]:
    for name, about in litellm_list().items():
        entry = _entry(about) if about.get("mode") in _MODES else None
        if entry and "commitment" not in name and len(name) <= _MOST_CHARACTERS:
            yield _name(name, about["litellm_provider"]), entry


def _name(name: str, provider: str) -> ModelName:
    found = split_name(name)
    return found if found.provider or "/" in name else split_name(f"{provider}/{name}")


def _entry(about: dict[str, Any]) -> dict[str, Any] | None:
    """Return a model's prices as an entry of a price list, None if it has none for tokens."""
    prices = _by_variant(about)
    if not any(Decimal(price) for price in prices["standard"][0].values()):
        return None  # LiteLLM writes 0 for what it does not know
    if about["mode"] == "embedding":
        prices["standard"][0].pop("output", None)
    entry = _tiered(prices.pop("standard"))
    if "input" not in entry or _is_absurd(entry, about["mode"]):
        return None
    return entry | {variant: _tiered(tiers) for variant, tiers in sorted(prices.items())}


def _is_absurd(entry: dict[str, Any], mode: str) -> bool:
    """Tell prices that are surely a mistake, such as for a thousand tokens in place of one."""
    if mode == "embedding":
        return Decimal(entry["input"]) > _MOST_EMBEDDING_USD
    return any(Decimal(entry.get(kind, 0)) > most for kind, most in _MOST_USD.items())


def _by_variant(about: dict[str, Any]) -> _Prices:
    prices: _Prices = {"standard": {0: {}}}
    for field, value in about.items():
        if (match := _FIELD.fullmatch(field)) and value is not None:
            tiers = prices.setdefault(_VARIANTS[match["variant"] or ""], {0: {}})
            tier = tiers.setdefault(int(match["above"] or 0) * 1000, {})
            tier[_KINDS[match["kind"]]] = _per_million(value)
    for tier in about.get("tiered_pricing", []):
        told = {_KINDS[field]: _per_million(tier[field]) for field in _KINDS if field in tier}
        prices["standard"].setdefault(int(tier.get("range", [0])[0]), {}).update(told)
    return prices


def _tiered(tiers: dict[int, dict[str, str]]) -> dict[str, Any]:
    above = [{"above": start, **tiers[start]} for start in sorted(tiers) if start]
    return tiers[0] | ({"tiers": above} if above else {})


def _per_million(usd: Decimal | float) -> str:
    return f"{(Decimal(str(usd)) * 1_000_000).normalize():f}"


def _is_needed(name: ModelName, entry: dict[str, Any], known: Rates | None) -> bool:
    if known is None:
        return True
    is_itself = known.source.endswith(f"/{name.model}")
    return (name.provider in _CLOUDS or not is_itself) and _is_above(entry_rates(entry, ""), known)


def _with_its_tiers(
    name: ModelName, entry: dict[str, Any], known: Rates | None
) -> dict[str, Any] | None:
    """Return the entry where it has dearer tiers, and genai-prices none; else None.

    Below them what genai-prices says counts, where that is dearer. If it is cheaper there, the two lists
    disagree, and genai-prices is right.
    """
    ours = entry_rates(entry, "")
    if ours is None or known is None or known.first_tier != known:
        return None
    first = known.tiers[0]
    if ours.tiers[0].input > first.input or all(t.input <= first.input for t in ours.tiers[1:]):
        return None
    kinds = {kind: _dearer(entry[kind], getattr(first, kind)) for kind in entry if kind in _RATES}
    variants = {variant: entry[variant] for variant in _lacking(name, entry)}
    return kinds | {"tiers": entry["tiers"]} | variants


def _with_its_variants(
    name: ModelName, entry: dict[str, Any], known: Rates | None
) -> dict[str, Any] | None:
    """Return the variants alone that genai-prices lacks, of a model whose standard price both lists agree on."""
    ours = entry_rates(entry, "")
    if ours is None or known is None or _is_above(ours, known) or _is_above(known, ours):
        return None
    standard = {field: value for field, value in entry.items() if field not in VARIANTS}
    return {variant: standard | entry[variant] for variant in _lacking(name, entry)}


def _lacking(name: ModelName, entry: dict[str, Any]) -> list[Variant]:
    """Return the variants of an entry that genai-prices does not have."""
    known, found = GenaiPrices(), list[Variant]()
    for variant in VARIANTS[1:]:
        if entry.get(variant) and known.rates(name.anywhere, AS_OF_MS, variant) is None:
            found.append(variant)
    return found


def _dearer(usd: str, rate: int | None) -> str:
    return max(usd, f"{(Decimal(rate or 0) / 10**9).normalize():f}", key=Decimal)


def _is_dearer(entry: dict[str, Any], other: dict[str, Any]) -> bool:
    """Two names may be one model to us: the dearer price counts."""
    return _is_above(_standard(entry), _standard(other))


def _standard(entry: dict[str, Any]) -> Rates | None:
    return entry_rates(entry, "") if "input" in entry else None


def _is_above(rates: Rates | None, other: Rates | None) -> bool:
    if rates is None or other is None:
        return rates is not None
    ours, theirs = rates.tiers[0], other.tiers[0]
    return ours.input > theirs.input or (ours.output or 0) > (theirs.output or 0)


def write(target: Path = TARGET) -> None:
    """Write the file: a line for each model, so that a change of prices can be read."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in price_list().items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    write()
