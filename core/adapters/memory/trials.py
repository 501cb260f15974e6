"""Trials in memory."""

from collections.abc import Sequence
from dataclasses import replace

from core.adapters.memory.flows import MemoryFlows
from core.costs.model_choices import MOST_TRIALS, Override, TaskOutcome, Trial
from core.crews.trials import CHANGED
from core.errors import ConflictError, NotFoundError


class MemoryTrials:
    """Trials over the flows it shares with the ledger."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows, self._models = flows, flows.models

    async def overrides(self, tenant: str) -> list[Override]:
        chosen = self._models.chosen[tenant]
        running = {
            (trial.crew, trial.task): trial.id
            for trial in self._models.trials[tenant].values()
            if trial.ended_ms is None
        }
        places = sorted(chosen.keys() | running.keys())
        return [Override(*place, chosen.get(place), running.get(place)) for place in places]

    async def choose(self, tenant: str, crew: str, task: str, model: str | None) -> None:
        self._refuse_second(tenant, crew, task)
        if model is None:
            self._models.chosen[tenant].pop((crew, task), None)
        else:
            self._models.chosen[tenant][crew, task] = model

    async def start(self, tenant: str, trial: Trial, chosen: str | None = None) -> Trial:
        trials = self._models.trials[tenant]
        if (known := trials.get(trial.id)) is not None and known.run == trial.run:
            return known
        self._refuse_second(tenant, trial.crew, trial.task)
        if self._models.chosen[tenant].get((trial.crew, trial.task)) != chosen:
            raise ConflictError(CHANGED)
        over = [each for each in trials.values() if each.ended_ms is not None]
        if len(trials) >= MOST_TRIALS and over:
            del trials[min(over, key=lambda each: each.ended_ms or 0).id]
        trials[trial.id] = replace(trial, started_ms=self._flows.now_ms())
        return trials[trial.id]

    async def stop(self, tenant: str, trial: str) -> Trial:
        trials = self._models.trials[tenant]
        if trial not in trials:
            raise NotFoundError(f"no trial {trial}")
        if trials[trial].ended_ms is None:
            trials[trial] = replace(trials[trial], ended_ms=self._flows.now_ms())
        return trials[trial]

    async def all(self, tenant: str) -> list[Trial]:
        return sorted(self._models.trials[tenant].values(), key=lambda each: -each.started_ms)

    async def record(self, tenant: str, flow: str, outcomes: Sequence[TaskOutcome]) -> None:
        record = self._flows.record(tenant, flow)
        for outcome in outcomes:
            self._models.record(tenant, record, outcome, self._flows.now_ms())

    def _refuse_second(self, tenant: str, crew: str, task: str) -> None:
        if (running := self._models.running(tenant, crew, task)) is not None:
            raise ConflictError(f"the trial {running.id} runs there: stop it first")
