"""Trials of models at tasks: the port, and what running flows record for them.

What came of a step is recorded by the write that commits it, what came of a flow that failed, or of a
person's review, by the transition that says so. Steps in no trial cost nothing for it.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from core.blobs import BlobRef
from core.costs.model_choices import Choice, Override, TaskOutcome, Trial, task_outcome
from core.costs.trials import Signal
from core.crews.crew_runner import Prompt, StepKind
from core.flows import Flow

CHANGED = "another model was chosen for the task meanwhile: look, and begin the trial again"


class Trials(Protocol):
    """Port: the models that a tenant chose for tasks, and the trials of others.

    Every method may be called again after a reply was lost, and raises UnavailableError.
    """

    async def overrides(self, tenant: str) -> list[Override]:
        """Return what the tenant chose, and where trials run, by crew and task."""
        ...

    async def choose(self, tenant: str, crew: str, task: str, model: str | None) -> None:
        """Have flows that are launched from now on do a task by this model; None: the deployment's.

        Raises ConflictError while a trial runs there.
        """
        ...

    async def start(self, tenant: str, trial: Trial, chosen: str | None = None) -> Trial:
        """Begin a trial; one of its id that is over is forgotten.

        `chosen` is the model that the tenant had chosen for the task when this was decided. Raises
        ConflictError if a trial runs there, or another one is chosen by now.
        """
        ...

    async def stop(self, tenant: str, trial: str) -> Trial:
        """End a trial without a verdict; one that is over stays as it is. Raises NotFoundError."""
        ...

    async def all(self, tenant: str) -> list[Trial]:
        """Return the trials that are kept, the latest first."""
        ...

    async def record(self, tenant: str, flow: str, outcomes: Sequence[TaskOutcome]) -> None:
        """Count outcomes of a flow that is under way or over. Raises NotFoundError."""
        ...


async def record_feedback(trials: Trials, tenant: str, state: Flow, *, good: bool) -> None:
    """Count what a person thinks of a flow's result in the trials that the flow is in.

    The first word on each task counts, a review's or this. Raises NotFoundError, UnavailableError.
    """
    if found := outcomes(state, state.models, Signal.PEOPLE, float(good)):
        await trials.record(tenant, state.id, found)


def outcomes(
    state: Flow,
    tasks: Collection[str],
    signal: Signal,
    quality: float,
    deployed: str | None = None,
) -> tuple[TaskOutcome, ...]:
    """Return what is recorded of tasks of a flow, those that are in trials.

    `deployed` is the deployment's model, by the name its calls are counted under, where that is known.
    """
    chosen = state.models
    found = (
        task_outcome(chosen.get(task), task, signal, quality, deployed=deployed) for task in tasks
    )
    return tuple(each for each in found if each is not None)


def answer_outcome(
    choice: Choice | None,
    prompt: Prompt,
    result: dict[str, Any] | BlobRef,
    *,
    refused: bool,
    checked: bool,
    deployed: str | None = None,
) -> TaskOutcome | None:
    """Return what is recorded of a step that is committed with this result; None where that is nothing.

    `refused`: an answer was refused before it, or the step was tried again. `checked`: its task has what
    may refuse one. `deployed`: as of `outcomes`.
    """
    final = _decides(prompt, result)
    quality = 0.5 if refused else 1.0
    of = {"final": final, "checked": checked}
    outcome = task_outcome(choice, prompt.task, Signal.ANSWERS, quality, **of, deployed=deployed)
    return outcome if final or refused else None


def _decides(prompt: Prompt, result: dict[str, Any] | BlobRef) -> bool:
    """Tell whether a step's result is the task's answer, or a vote on it. What is large is no vote."""
    if prompt.kind is StepKind.AGGREGATE and not isinstance(result, BlobRef):
        return prompt.answer(result["output"]) is not None
    return prompt.kind in (StepKind.TASK, StepKind.AGGREGATE, StepKind.VERDICT)
