"""Limits: how much a model may answer, by the catalogue that CrewAI ships with (LiteLLM's)."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


def max_output_tokens(model: str, told: float | None) -> int | None:
    """Return `told`, which is what the LLM asks for, else the model's own limit; None if unknown.

    `model` is `provider/model`. Of two entries that fit, one under the provider's name counts.
    """
    if told:
        return int(told)
    known = _catalogue()
    return known.get(model) or known.get(model.partition("/")[2])


@cache
def _catalogue() -> dict[str, int]:
    """Return the limits by name; 3 MB of JSON, read once in a process."""
    folder = files("crewai.llms") / "litellm_catalog"
    text = (folder / "model_prices_and_context_window.json").read_text("utf-8")
    entries: dict[str, dict[str, Any]] = json.loads(text)
    limits = {name: entry.get("max_output_tokens") for name, entry in entries.items()}
    return {name: limit for name, limit in limits.items() if isinstance(limit, int)}
