"""Running one claimed step: its attempts, what it writes meanwhile, and the commit of its result.

While a step runs, one task beats and writes what happens; when the ledger says that the step is
somebody else's now, or that the flow's time is over, the work stops there.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.costs.budgets import BudgetBook
from core.crews import strategies
from core.crews.definition import Definition
from core.crews.event_buffer import EventBuffer
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, TooLargeError
from core.crews.lessons import Lessons
from core.crews.work import CrewRunner, Kind, Session, StepFailedError, StepTask
from core.errors import NotFoundError, UnavailableError
from core.flows import Flow, Step, events
from core.flows.events import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """The lease of a step and its heartbeat, in seconds.

    A lease must outlast two lost beats, or a worker that lives is taken for dead. A step is not
    begun with less than `step_seconds` left.
    """

    lease_seconds: float
    beat_seconds: float
    step_seconds: float

    def __post_init__(self) -> None:
        if self.lease_ms < 3 * round(self.beat_seconds * 1000):
            raise ValueError("the lease must be at least three heartbeats long")

    @property
    def lease_ms(self) -> int:
        """The lease as the ledger counts it."""
        return round(self.lease_seconds * 1000)


@dataclass(frozen=True, slots=True)
class Parts:
    """What running a step takes."""

    ledger: RunLedger
    budgets: BudgetBook
    runner: CrewRunner
    lessons: Lessons
    timing: Timing
    now_ms: Callable[[], int]


class StepError(Exception):
    """The step cannot succeed, and so the flow cannot; the message is for the user."""


def build_work(tenant: str, definition: Definition, state: Flow, step: Step) -> StepTask:
    """Return the work of a step as it would be if it were begun now."""
    prompt = strategies.prompt(definition, state.results, step.id)
    return StepTask(tenant, state.id, definition, prompt, step.attempts + 1, state.inputs)


def step_started_events(work: StepTask, step: Step) -> list[Event]:
    """Return the events of a step that begins; a manager's subtask is shown as a delegation.

    One that was given back before its first attempt was counted goes on, as `step_resumed`.
    """
    prompt = work.prompt
    if step.epoch > 0 and work.attempt == 1:
        begun = events.custom("step_resumed", {"step": prompt.step, "attempt": work.attempt})
    else:
        begun = events.step_started(prompt.step, work.attempt)
    begun += events.custom("agent_started", work.who())
    if prompt.kind is not Kind.SUBTASK or step.epoch > 0:
        return begun
    delegated = {
        "task": prompt.task,
        "step": prompt.step,
        "worker": work.who()["agent"],
        "description": prompt.description,
    }
    return [*begun, *events.custom("delegation", delegated)]


def attempts_exceeded_message(step: Step, attempt: int) -> str:
    """Say why a step that kills its workers is not begun again."""
    last = f"; the last time: {step.error}" if step.error else ""
    return f"step {step.id} was started {attempt - 1} times and never finished{last}"


async def run(parts: Parts, work: StepTask, claim: Claim, known: Flow) -> Flow:
    """Run a claimed step and commit its result; return the state after it.

    Raises StepError if it cannot succeed; FencedError, ExpiredError, NotFoundError and
    UnavailableError as the ledger does.
    """
    buffer = EventBuffer(
        parts.ledger,
        parts.budgets,
        claim,
        crew=work.definition.name,
        task=work.prompt.task,
        lease_seconds=parts.timing.lease_seconds,
        beat_seconds=parts.timing.beat_seconds,
        now_ms=parts.now_ms,
    )
    work = replace(work, lessons=await _lessons(parts.lessons, work))
    try:
        result = await buffer.run_while_flushing(_run_attempts(parts.runner, work, buffer))
    except StepFailedError as error:
        await buffer.record_error(str(error))
        raise StepError(str(error)) from error
    except (FencedError, ExpiredError, NotFoundError, UnavailableError):
        raise
    except Exception as error:
        await buffer.record_error(f"the worker stopped with {type(error).__name__}")
        raise
    buffer.post(events.custom("agent_finished", work.who()))
    try:
        after = await buffer.commit(result, known)
    except TooLargeError as error:
        await buffer.record_error(str(error))
        raise StepError(str(error)) from error
    await _record_outcome(parts.lessons, work, result)
    return after


async def _run_attempts(runner: CrewRunner, work: StepTask, session: Session) -> dict[str, Any]:
    """Run the step as often as its task allows. Raises StepFailedError of the last attempt."""
    for left in range(work.definition.tasks[work.prompt.task].retries, 0, -1):
        try:
            return await _run_attempt(runner, work, session)
        except StepFailedError as error:
            failed = {"step": work.prompt.step, "error": str(error)}
            session.post(events.custom("step_failed", failed | {"retries_left": left - 1}))
    return await _run_attempt(runner, work, session)


async def _run_attempt(runner: CrewRunner, work: StepTask, session: Session) -> dict[str, Any]:
    seconds = work.definition.tasks[work.prompt.task].max_execution_time
    try:
        async with asyncio.timeout(seconds):
            return await runner.run(work, session)
    except TimeoutError as error:
        raise StepFailedError(f"it took longer than {seconds} s") from error


async def _lessons(lessons: Lessons, work: StepTask) -> tuple[str, ...]:
    try:
        return await lessons.before(work)
    except UnavailableError:
        log.warning("step %s of flow %s begins without lessons", work.prompt.step, work.flow)
        return ()


async def _record_outcome(lessons: Lessons, work: StepTask, result: dict[str, Any]) -> None:
    try:
        await lessons.after(work, result)
    except UnavailableError:
        log.warning("what came of %s in flow %s is lost", work.prompt.step, work.flow)
