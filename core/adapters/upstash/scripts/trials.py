"""Scripts of trials, and choices of models."""

from typing import Any

from core.adapters.upstash.calls import script
from core.adapters.upstash.script_keys import FlowKeys, Key, TrialKeys


@script("trials")
def start_trial(
    of_trials: TrialKeys, *, trial: dict[str, Any], chosen: str | None, most: int
) -> None: ...


@script("flow", "trials")
def record_outcomes(
    of: FlowKeys, of_trials: TrialKeys, *, outcomes: list[dict[str, Any]]
) -> None: ...


@script("trials")
def stop_trial(of_trials: TrialKeys, *, trial: str) -> None: ...


@script()
def choose_model(models: Key, *, field: str, model: str | None) -> None: ...
