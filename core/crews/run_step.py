"""Running one claimed step: its attempts, what it writes meanwhile, and the commit of its result.

While a step runs, one task beats and writes what happens; when the ledger says that the step is
somebody else's now, or that the flow's time is over, the work stops there. A step that cannot go on
through no fault of its own is given back: the worker's time is up, a provider asks to come back
later, a store is away. That costs no attempt, and no worker waits.
"""

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, TypeVar

from core.blobs import BlobRef
from core.costs.budgets import BudgetBook
from core.crews.clock import Clock, NowMs
from core.crews.deferrals import deferral
from core.crews.event_buffer import EventBuffer
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger
from core.crews.lessons import Lessons
from core.crews.strategies import TaskGraph
from core.crews.work import CrewRunner, Kind, Session, StepDeferredError, StepFailedError, StepTask
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows import Flow, Step, events
from core.flows.events import Event
from core.flows.values import LargeValues, result_blob

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_SECONDS, RETRY_LONGEST_SECONDS = 1.0, 8.0  # between two attempts; doubled each time
LOOK_SECONDS = 0.2  # between two looks at the clock during a step


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

    @property
    def last_call_seconds(self) -> float:
        """No model call is begun with less than this left: its answer would be paid and lost."""
        return min(2.0, self.step_seconds / 10)


@dataclass(frozen=True, slots=True)
class Parts:
    """What running a step takes."""

    ledger: RunLedger
    budgets: BudgetBook
    runner: CrewRunner
    lessons: Lessons
    timing: Timing
    now_ms: NowMs
    values: LargeValues


class Outcome(Enum):
    """Why a worker is done with a flow for now."""

    ENDED = auto()
    WAITS = auto()  # for a person
    BUSY = auto()  # other workers hold all that is ready
    DEFERRED = auto()  # its step was given back, to be claimed later
    OUT_OF_TIME = auto()  # another worker was asked for
    GONE = auto()
    FENCED = auto()  # it moved on in other hands


class StepError(Exception):
    """The step cannot succeed, and so the flow cannot; the message is for the user."""


class StepCrashedError(Exception):
    """The runner stopped in a way that it should not; the attempt counts, its error is recorded."""


class OutOfTimeError(StepDeferredError):
    """The worker's time is up."""

    def __init__(self) -> None:
        super().__init__("the worker's time is up", 0)


def build_work(tenant: str, tasks: TaskGraph, state: Flow, step: Step) -> StepTask:
    """Return the work of a step as it would be if it were begun now."""
    prompt = tasks.prompt(state.results, step.id)
    attempt, put_off, crew = step.attempts + 1, step.deferrals, tasks.definition
    return StepTask(tenant, state.id, crew, prompt, attempt, state.inputs, deferrals=put_off)


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


async def run(
    parts: Parts, work: StepTask, claim: Claim, known: Flow, clock: Clock
) -> Flow | Outcome:
    """Run a claimed step and commit its result; return the state after it, or why there is none.

    Raises StepError if the step cannot succeed, StepCrashedError; FencedError, ExpiredError,
    NotFoundError and UnavailableError as the ledger does.
    """
    buffer = _buffer(parts, work, claim, clock)
    work = replace(work, lessons=await _lessons(parts.lessons, work))
    blob = result_blob(work.flow, known.head.incarnation, claim.step, claim.epoch)
    attempts, began = _run_and_keep(parts, work, buffer, blob), time.monotonic()
    try:
        result, kept = await buffer.run_while_flushing(_run_in_time(attempts, clock))
    except OutOfTimeError:
        took = time.monotonic() - began
        return await _run_out_of_time(parts.timing, buffer, clock, took)
    except (StepDeferredError, UnavailableError) as error:
        # Of a tool's store, or its result's; if it is the ledger's own, so is the next one.
        return await _defer(buffer, work, error)
    except (StepFailedError, TooLargeError) as error:
        await buffer.record_error(str(error))
        raise StepError(str(error)) from error
    except (FencedError, ExpiredError, NotFoundError):
        raise
    except Exception as error:
        await buffer.record_error(f"the worker stopped with {type(error).__name__}")
        raise StepCrashedError(work.prompt.step) from error
    after = await _commit(work, buffer, kept, known)
    await _record_outcome(parts.lessons, work, result)
    return after


async def _defer(
    buffer: EventBuffer, work: StepTask, error: StepDeferredError | UnavailableError
) -> Outcome:
    try:
        reason, delay_ms = deferral(error, work.deferrals)
    except StepFailedError as failed:
        await buffer.record_error(str(failed))
        raise StepError(str(failed)) from error
    await buffer.release(delay_ms=delay_ms, reason=reason)
    return Outcome.DEFERRED


async def _run_out_of_time(
    timing: Timing, buffer: EventBuffer, clock: Clock, took_seconds: float
) -> Outcome:
    """Give a step back at once. One that had its time on a host that never has more has failed."""
    if clock.limit_seconds < math.inf and took_seconds >= timing.step_seconds:
        lacking = f"it was not done in the {took_seconds:.0f} s that this host had for it"
        await buffer.record_error(lacking, keep_lease=False)
    else:
        await buffer.release(delay_ms=0, reason="the worker's time is up")
    return Outcome.OUT_OF_TIME


def _buffer(parts: Parts, work: StepTask, claim: Claim, clock: Clock) -> EventBuffer:
    def may_call() -> None:
        if clock.seconds_left() < parts.timing.last_call_seconds:
            raise OutOfTimeError

    return EventBuffer(
        parts.ledger,
        parts.budgets,
        claim,
        crew=work.definition.name,
        task=work.prompt.task,
        lease_seconds=parts.timing.lease_seconds,
        beat_seconds=parts.timing.beat_seconds,
        now_ms=parts.now_ms,
        may_call=may_call,
    )


async def _run_and_keep(
    parts: Parts, work: StepTask, session: Session, blob: str
) -> tuple[dict[str, Any], dict[str, Any] | BlobRef]:
    """Run the step; return its result, and what is committed of it. A large one is stored first."""
    result = await _run_attempts(parts.runner, work, session)
    return result, await parts.values.keep(work.tenant, blob, result)


async def _commit(
    work: StepTask, buffer: EventBuffer, result: dict[str, Any] | BlobRef, known: Flow
) -> Flow:
    """Store the result; what the store refuses it would refuse again, so the step has failed."""
    buffer.post(events.custom("agent_finished", work.who()))
    try:
        return await buffer.commit(result, known)
    except (FencedError, ExpiredError, NotFoundError, UnavailableError):
        raise
    except Exception as error:
        log.exception("the store refuses the result")
        why = str(error) if isinstance(error, TooLargeError) else type(error).__name__
        message = f"its result could not be stored: {why}"
        await buffer.record_error(message)
        raise StepError(message) from error


async def _run_in_time(running: Coroutine[Any, Any, T], clock: Clock) -> T:
    """Run until the clock says that no time is left. Raises OutOfTimeError then."""
    work = asyncio.create_task(running)
    try:
        while (left := clock.seconds_left()) > 0:
            await asyncio.wait({work}, timeout=min(left, LOOK_SECONDS))
            if work.done():
                return work.result()
        raise OutOfTimeError
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _run_attempts(runner: CrewRunner, work: StepTask, session: Session) -> dict[str, Any]:
    """Run the step as often as its task allows. Raises StepFailedError of the last attempt."""
    retries = work.definition.tasks[work.prompt.task].retries
    for attempt in range(retries):
        try:
            return await _run_attempt(runner, work, session)
        except StepFailedError as error:
            failed = {"step": work.prompt.step, "error": str(error)}
            left = {"retries_left": retries - attempt - 1}
            session.post(events.custom("step_failed", failed | left))
        await asyncio.sleep(min(RETRY_SECONDS * 2**attempt, RETRY_LONGEST_SECONDS))
    return await _run_attempt(runner, work, session)


async def _run_attempt(runner: CrewRunner, work: StepTask, session: Session) -> dict[str, Any]:
    seconds = work.definition.tasks[work.prompt.task].max_execution_time
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await runner.run(work, session)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the runner's own
        raise StepFailedError(f"it took longer than {seconds} s") from error


async def _lessons(lessons: Lessons, work: StepTask) -> tuple[str, ...]:
    try:
        return await lessons.before(work)
    except UnavailableError:
        log.warning("the step begins without lessons")
        return ()


async def _record_outcome(lessons: Lessons, work: StepTask, result: dict[str, Any]) -> None:
    try:
        await lessons.after(work, result)
    except UnavailableError:
        log.warning("what came of the step is lost to the lessons")
