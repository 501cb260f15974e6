"""The models that do tasks in memory, and what came of the trials of others."""

from collections import defaultdict
from dataclasses import replace

from core.adapters.memory.records import Record
from core.costs.model_choices import Choice, TaskOutcome, Trial, arm_of, tasks_of
from core.costs.trials import Arm, Verdict
from core.crews.ledger import Launch


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
