"""The models that do tasks in memory, and the trials of others."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from core.adapters.memory.records import Record
from core.costs.model_choices import (
    MOST_TRIALS,
    Choice,
    Override,
    TaskOutcome,
    Trial,
    arm_of,
    tasks_of,
)
from core.costs.trials import Arm, Verdict
from core.crews.ledger import Launch
from core.crews.trials import CHANGED
from core.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from core.adapters.memory.flows import MemoryFlows


class MemoryModels:
    """What tenants chose and try; flows that are created and end are told to it."""

    def __init__(self) -> None:
        self.chosen: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        self.trials: dict[str, dict[str, Trial]] = defaultdict(dict)

    def running(self, tenant: str, crew: str, task: str) -> Trial | None:
        """Return the trial that runs at a task."""
        return next(
            (
                trial
                for trial in self.trials[tenant].values()
                if (trial.crew, trial.task) == (crew, task) and trial.ended_ms is None
            ),
            None,
        )

    def choices(self, tenant: str, launch: Launch) -> dict[str, Choice]:
        """Return what does the tasks of a new flow, where that is not the deployment's model."""
        found = {
            task: self._choice(tenant, launch, task, critical=critical)
            for task, critical in tasks_of(launch.definition)
        }
        return {task: choice for task, choice in found.items() if choice != Choice()}

    def _choice(self, tenant: str, launch: Launch, task: str, *, critical: bool) -> Choice:
        model = self.chosen[tenant].get((launch.crew, task))
        trial = None if critical else self.running(tenant, launch.crew, task)
        arm = trial and arm_of(trial.run, launch.flow, trial.share)
        if trial is None or arm is None:
            return Choice(model)
        return Choice(trial.cheaper if arm is Arm.CHEAPER else model, trial.id, trial.run, arm)

    def record(self, tenant: str, record: Record, outcome: TaskOutcome, now_ms: int) -> None:
        """Count an outcome once, in the trial that the flow is in."""
        key = outcome.signal.value, outcome.task
        known = record.outcomes.get(key, 1.0)
        if known is None:
            return
        quality = min(known, outcome.quality)
        record.outcomes[key] = None if outcome.final else quality
        trial = self.trials[tenant].get(outcome.trial)
        if not outcome.final or trial is None or trial.run != outcome.run or trial.ended_ms:
            return
        if trial.ends_for(outcome):
            self.trials[tenant][trial.id] = replace(
                trial,
                verdict=Verdict.MODEL_CHANGED,
                changed_to=outcome.done_by,
                ended_ms=now_ms,
            )
            return
        evidence = trial.evidence.add(outcome.signal, outcome.arm, quality, checked=outcome.checked)
        verdict = evidence.verdict
        ended = None if verdict is None else now_ms
        trial = replace(trial, evidence=evidence, verdict=verdict, ended_ms=ended)
        self.trials[tenant][trial.id] = trial


class MemoryTrials:
    """Trials over the flows it shares with the ledger."""

    def __init__(self, flows: "MemoryFlows") -> None:
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
