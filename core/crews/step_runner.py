"""StepRunner: claims a step, runs it, writes what happens meanwhile, and commits its result.

While a step runs, one task beats and writes what happens; when the ledger says that the step is
somebody else's now, or that the flow's time is over, the work stops there. A step that cannot go on
through no fault of its own is given back: the worker's time is up, a provider asks to come back
later, a store is away. That costs no attempt, and no worker waits.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from core.blobs import BlobRef
from core.costs.recording import UsageBook
from core.costs.rollup import NOBODY
from core.crews import step_ends
from core.crews.call_ledger import CallLedger
from core.crews.claim_calls import Whose
from core.crews.clock import Clock
from core.crews.crew_runner import (
    CrewRunner,
    Lesson,
    Session,
    StepFailedError,
    StepKind,
    StepTask,
)
from core.crews.event_buffer import EventBuffer
from core.crews.journal import Journals, NoJournals, StepJournal
from core.crews.late_calls import LateCalls
from core.crews.ledger import Claim, RunLedger, StepBusy
from core.crews.lessons import Lessons
from core.crews.money_queue import MoneyQueue
from core.crews.outcomes import (
    MoneyWait,
    Outcome,
    OutOfTimeError,
    StepCrashedError,
    StepError,
    TooManyAttemptsError,
)
from core.crews.strategies import TaskGraph
from core.crews.timing import Timing
from core.crews.tries import Tries, record_failed, tries_of
from core.flows import Flow, Step, events
from core.flows.events import Event
from core.flows.values import LargeValues, result_blob
from core.time_of_day import NowMs, now_ms

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_SECONDS, RETRY_LONGEST_SECONDS = 1.0, 8.0  # between two tries; doubled each time
LOOK_SECONDS = 0.2  # between two looks at the clock during a step
_LESSONS = "lessons"  # in the journal


def build_work(tenant: str, tasks: TaskGraph, state: Flow, step: Step) -> StepTask:
    """Return the work of a step as it would be if it were begun now."""
    prompt = tasks.prompt(state.results, step.id)
    attempt, put_off, crew = step.attempts + 1, step.deferrals, tasks.definition
    choice = state.models.get(prompt.task)
    return StepTask(
        tenant, state.id, crew, prompt, attempt, state.inputs, deferrals=put_off, choice=choice
    )


def step_started_events(work: StepTask, step: Step) -> list[Event]:
    """Return the events of a step that begins; a manager's subtask is shown as a delegation."""
    prompt = work.prompt
    begun = events.step_started(prompt.step, work.attempt, epoch=step.epoch)
    begun += events.custom("agent_started", work.who())
    if prompt.kind is not StepKind.SUBTASK or step.epoch > 0:
        return begun
    delegated = {
        "task": prompt.task,
        "step": prompt.step,
        "worker": work.who()["agent"],
        "description": prompt.description,
    }
    return [*begun, *events.custom("delegation", delegated)]


def check_attempts(work: StepTask, claim: Claim, known: Flow, journal: StepJournal) -> None:
    """Raise TooManyAttemptsError for a step that kills its workers, unless it comes further each time."""
    in_vain = claim.attempt - 1 - journal.grew_at
    if in_vain < work.definition.limits.max_attempts:
        return
    error = next((step.error for step in known.steps if step.id == claim.step), None)
    last = f"; the last time: {error}" if error else ""
    further = f", {in_vain} times without coming further" if journal.grew_at else ""
    raise TooManyAttemptsError(
        f"step {claim.step} was started {claim.attempt - 1} times{further} and never finished{last}"
    )


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs claimed steps. Holds nothing between two of them."""

    ledger: RunLedger
    call_ledger: CallLedger
    runner: CrewRunner
    timing: Timing
    values: LargeValues
    lessons: Lessons = field(default_factory=Lessons)
    journals: Journals = field(default_factory=NoJournals)
    now_ms: NowMs = now_ms
    money: MoneyQueue = field(default_factory=MoneyQueue)
    late_calls: LateCalls = field(default_factory=LateCalls)
    usage_book: UsageBook | None = None  # told of steps that failed
    deployed_model: str | None = None  # by the name its calls are counted under, for trials

    async def claim(self, work: StepTask, step: Step, *, seen: int, more: bool) -> Claim | StepBusy:
        """Claim a step that was chosen from the state of version `seen`; see `RunLedger.claim`."""
        return await self.ledger.claim(
            work.tenant,
            work.flow,
            step,
            owner=secrets.token_hex(8),
            lease_ms=self.timing.lease_ms,
            events=events.stamped(step_started_events(work, step), self.now_ms()),
            seen=seen,
            more=more,
        )

    async def run(
        self, work: StepTask, claim: Claim, known: Flow, clock: Clock
    ) -> Flow | Outcome | MoneyWait:
        """Run a claimed step and commit its result; return the state after it, or why there is none.

        Raises StepError if the step cannot succeed (TooManyAttemptsError if it was begun too often), StepCrashedError; FencedError, ExpiredError,
        NotFoundError and UnavailableError as the ledger does.
        """
        whose = *work.names, known.launched_by or NOBODY
        tries = tries_of(work, claim, known)
        journal = await StepJournal.of(self.journals, self.values, claim, known.head.incarnation)
        check_attempts(work, claim, known, journal)
        buffer = self._buffer(claim, clock, whose, tries, journal)
        try:
            return await self._run(work, claim, known, clock, buffer)
        except (StepError, StepCrashedError):
            if self.usage_book is not None:
                await record_failed(self.usage_book, tries, claim, whose, self.now_ms())
            raise
        finally:
            buffer.close()

    async def _run(
        self, work: StepTask, claim: Claim, known: Flow, clock: Clock, buffer: EventBuffer
    ) -> Flow | Outcome | MoneyWait:
        work = replace(work, attempt=claim.attempt)
        work = replace(work, lessons=await self._lessons_for(work, buffer))
        blob = result_blob(work.flow, known.head.incarnation, claim.step, claim.epoch)
        running, began = self._run_and_keep(work, buffer, blob), time.monotonic()
        try:
            kept = await buffer.run_while_flushing(_while_time_is_left(running, clock))
        except OutOfTimeError:
            return await self._run_out_of_time(buffer, clock, time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 -- it is recorded, and raised as what it means
            return await step_ends.end_attempt(work, buffer, error)
        return await step_ends.commit(work, buffer, kept, known, self.deployed_model)

    def _buffer(
        self, claim: Claim, clock: Clock, whose: Whose, tries: Tries, journal: StepJournal
    ) -> EventBuffer:
        def may_call() -> None:
            if clock.seconds_left() < self.timing.last_call_seconds:
                raise OutOfTimeError

        return EventBuffer(
            self.ledger,
            self.call_ledger,
            claim,
            self.timing,
            whose=whose,
            now_ms=self.now_ms,
            may_call=may_call,
            money=self.money,
            late_calls=self.late_calls,
            tries=tries,
            journal=journal,
        )

    async def _run_and_keep(
        self, work: StepTask, session: Session, blob: str
    ) -> dict[str, Any] | BlobRef:
        """Run the step; return what is committed of its result. A large one is stored first."""
        result = await self._run_with_retries(work, session)
        return await self.values.keep(work.tenant, blob, result)

    async def _run_with_retries(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Run the step as often as its task allows. Raises StepFailedError of the last time."""
        retries = work.definition.tasks[work.prompt.task].retries
        for retry in range(retries):
            try:
                return await self._run_once(work, session)
            except StepFailedError as error:
                failed = {"step": work.prompt.step, "error": str(error)}
                left = {"retries_left": retries - retry - 1}
                session.post(events.custom("step_failed", failed | left))
            await session.journal.forget_try()
            await asyncio.sleep(min(RETRY_SECONDS * 2**retry, RETRY_LONGEST_SECONDS))
        return await self._run_once(work, session)

    async def _run_once(self, work: StepTask, session: Session) -> dict[str, Any]:
        seconds = work.definition.tasks[work.prompt.task].max_execution_time
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self.runner.run(work, session)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the runner's own
            raise StepFailedError(f"it took longer than {seconds} s") from error

    async def _run_out_of_time(
        self, buffer: EventBuffer, clock: Clock, took_seconds: float
    ) -> Outcome:
        """Give a step back at once: it goes on where its journal ends.

        One that had all the time that its host ever has, and came no further in it, has failed.
        """
        had_all = clock.limit_seconds < math.inf and took_seconds >= self.timing.step_seconds
        if had_all and not buffer.journal.has_grown:
            lacking = f"it was not done in the {took_seconds:.0f} s that this host had for it"
            await buffer.record_error(lacking, keep_lease=False)
        else:
            await buffer.release(delay_ms=0, reason="the worker's time is up")
        return Outcome.OUT_OF_TIME

    async def _lessons_for(self, work: StepTask, session: Session) -> tuple[Lesson, ...]:
        """Return what the agent is told of earlier flows, and show it. No step fails for want of it.

        A step that is begun again is told what it was told before, or its journal would know nothing.
        """
        told: list[dict[str, Any]] | None = await session.journal.find(_LESSONS)
        if told is not None:
            return tuple(Lesson(**each) for each in told)
        try:
            lessons = await self.lessons.before(work)
        except Exception:
            log.warning("the step begins without lessons", exc_info=True)
            return ()
        told = [asdict(each) for each in lessons]
        session.journal.note_beside(_LESSONS, told)
        if told:
            session.post(events.lessons(work.prompt.step, told))
        return lessons


async def _while_time_is_left(running: Coroutine[Any, Any, T], clock: Clock) -> T:
    """Run until the clock says that no time is left. Raises OutOfTimeError then."""
    task = asyncio.create_task(running)
    try:
        while (left := clock.seconds_left()) > 0:
            await asyncio.wait({task}, timeout=min(left, LOOK_SECONDS))
            if task.done():
                return task.result()
        raise OutOfTimeError
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
