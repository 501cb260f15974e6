"""Which model does a task: what the tenant chose, or the arm of a trial that the flow is in.

A flow keeps what it was launched with, so a step that is begun again is done by the same model. In which
arm a flow is depends on its id and the trial's `run` alone.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from core.costs.trials import Arm, Evidence, Signal, Verdict

MOST_SHARE = 0.5  # as many flows again are compared with
MOST_TRIALS = 100  # that are kept of a tenant: of those that are over, the latest
CRITICAL = "critical"  # the required quality of a task that no trial touches


@dataclass(frozen=True, slots=True)
class Choice:
    """What does one task of one flow. No `model`: that of the deployment. No `trial`: it is in none."""

    model: str | None = None
    trial: str | None = None
    run: str = ""
    arm: Arm = Arm.IN_USE


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What came of a task of a flow that is in a trial.

    One that is not `final` is only remembered: the final one is no better. Each flow's task has one
    final outcome of each signal, the first. `checked`: the task could have refused the answer. `done_by`: the
    deployment's model that did the task, by the name its calls are counted under; None where the flow
    was launched with a model, or nobody here knows.
    """

    trial: str
    run: str
    arm: Arm
    task: str
    signal: Signal
    quality: float
    final: bool = True
    checked: bool = True
    done_by: str | None = None


def task_outcome(
    choice: Choice | None,
    task: str,
    signal: Signal,
    quality: float,
    *,
    final: bool = True,
    checked: bool = True,
    deployed: str | None = None,
) -> TaskOutcome | None:
    """Return what is recorded of a task that was done by this choice; None where it is in no trial.

    `deployed`: the model that does what the flow was launched without one for.
    """
    if choice is None or choice.trial is None:
        return None
    arm = choice.trial, choice.run, choice.arm
    done_by = deployed if choice.model is None else None
    return TaskOutcome(*arm, task, signal, quality, final, checked, done_by)


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a cheaper model at a task. `run` tells it from an earlier one of the same id.

    It runs until `ended_ms`; without a verdict then, it was stopped by a person. `share` of the flows have the
    task done by the cheaper model. `changed_to`: the model that the deployment has in place of the one in use
    since, which ended it.
    """

    id: str
    run: str
    crew: str
    task: str
    model: str  # in use when it began, by the name its calls are counted under
    cheaper: str
    share: float
    evidence: Evidence = field(default_factory=Evidence)
    started_ms: int = 0
    ended_ms: int | None = None
    verdict: Verdict | None = None
    changed_to: str | None = None

    def ends_for(self, outcome: TaskOutcome) -> bool:
        """Tell whether an outcome shows that the model in use is another one now."""
        return outcome.done_by not in (None, self.model)


@dataclass(frozen=True, slots=True)
class Override:
    """The model that a tenant chose for a task of a crew, and the trial that runs there now."""

    crew: str
    task: str
    model: str | None = None
    trial: str | None = None


def tasks_of(definition: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return the tasks of a crew, and of each whether trials leave it alone."""
    tasks: dict[str, dict[str, Any]] = definition.get("tasks", {})
    return [(name, task.get("required_quality") == CRITICAL) for name, task in tasks.items()]


def arm_of(run: str, flow: str, share: float) -> Arm | None:
    """Return the arm that a flow is in by chance; None for the flows that are in neither.

    SHA-1 spreads ids evenly; the script that makes flows has it as well.
    """
    place = int(hashlib.sha1((run + flow).encode(), usedforsecurity=False).hexdigest()[:8], 16)
    part = place / 2**32 / share
    return Arm.CHEAPER if part < 1 else Arm.IN_USE if part < 2 else None  # noqa: PLR2004 -- two shares
