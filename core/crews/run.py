"""Running a flow: take steps that are ready until it ends, waits, or the time is up.

A worker holds nothing that its death would lose: it claims a step, runs it, commits, and decides
what is next from the state that the commit returned. Of several steps that are ready it takes one
and wakes another worker, which does the same, so what may run side by side does. While a step runs,
one task beats and writes what happens; when the ledger says that the step is somebody else's now,
or that the flow's time is over, the work stops there.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.costs.budgets import BudgetBook
from core.crews import begin, strategies
from core.crews.definition import Definition
from core.crews.launch import wake_worker
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, StepBusy
from core.crews.lessons import Lessons
from core.crews.wakeups import Wake
from core.crews.work import CrewRunner, Session, StepFailedError, StepTask
from core.crews.writer import StepWriter
from core.errors import NotFoundError, UnavailableError
from core.flows import Flow, Status, Step, events
from core.flows.events import Event

log = logging.getLogger(__name__)

WAIT_LOOK_MS = 24 * 3600 * 1000  # how often a flow that waits for a person is looked at


class Clock(Protocol):
    """Port: how long this invocation may still run."""

    def seconds_left(self) -> float:
        """Return the seconds until the host ends this process; infinite on a server."""
        ...


class NoLimit:
    """The clock of a host that lets a process run on."""

    def seconds_left(self) -> float:
        """Return infinity."""
        return math.inf


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
class Worker:
    """Takes flows forward. Holds nothing between two calls."""

    ledger: RunLedger
    budgets: BudgetBook
    wake: Wake
    runner: CrewRunner
    lessons: Lessons
    timing: Timing

    async def advance(self, tenant: str, flow: str, clock: Clock) -> None:
        """Run steps of a flow until it ends or waits, others hold what is ready, or the time is up.

        A flow that is gone is nothing to do. Raises UnavailableError; the flow stays due.
        """
        try:
            state: Flow | None = await self.ledger.state(tenant, flow)
            while state is not None and not state.head.status.terminal:
                state = await self._forward(tenant, state, clock)
        except FencedError:
            log.info("flow %s of %s is in other hands", flow, tenant)
        except NotFoundError:
            log.info("flow %s of %s is gone", flow, tenant)

    async def _forward(self, tenant: str, state: Flow, clock: Clock) -> Flow | None:
        try:
            if state.head.status is Status.WAITING:
                return await self.ledger.reschedule(tenant, state.id, WAIT_LOOK_MS)
            return await self._next(tenant, state, clock)
        except ExpiredError:
            state = await self.ledger.state(tenant, state.id)
            return await self._fail(tenant, state, "the flow took longer than it may", "time_limit")

    async def _next(self, tenant: str, state: Flow, clock: Clock) -> Flow | None:
        """Do what is next; return the state after it, None if this worker is done."""
        definition = Definition.model_validate(state.definition)
        match strategies.next_action(definition, state.results):
            case strategies.End(output):
                return await self._end(tenant, state, output)
            case strategies.Wait() as wait:
                return await self._wait(tenant, state, wait)
            case strategies.Ready(steps):
                if clock.seconds_left() < self.timing.step_seconds:
                    return await self.wake.wake(tenant, state.id)
                state = await self._known(tenant, state, steps)
                return await self._take(tenant, definition, state, {step.id for step in steps})

    async def _known(self, tenant: str, state: Flow, steps: tuple[Step, ...]) -> Flow:
        known = {step.id for step in state.steps}
        if all(step.id in known for step in steps):
            return state
        return await self.ledger.add_steps(tenant, state.id, steps)

    async def _take(
        self, tenant: str, definition: Definition, state: Flow, ready: set[str]
    ) -> Flow | None:
        """Run the first of these steps that nobody holds; those that nobody began come first.

        A step that has moved on since the state was read is looked at anew.
        """
        free = [step for step in state.steps if step.id in ready and step.state == "pending"]
        held = [step for step in state.steps if step.id in ready and step.state != "pending"]
        moved = False
        for at, step in enumerate([*free, *held]):
            work = begin.work(tenant, definition, state, step)
            try:
                claim = await self._claim(work, step)
            except FencedError:
                moved = True
                continue
            if isinstance(claim, Claim):
                if at + 1 < len(free):
                    await wake_worker(self.wake, tenant, state.id)
                return await self._run(state, step, replace(work, attempt=claim.epoch), claim)
        return await self.ledger.state(tenant, state.id) if moved else None

    async def _claim(self, work: StepTask, step: Step) -> Claim | StepBusy:
        return await self.ledger.claim(
            work.tenant,
            work.flow,
            step,
            owner=secrets.token_hex(8),
            lease_ms=self.timing.lease_ms,
            events=_stamped(begin.told(work)),
        )

    async def _run(self, state: Flow, step: Step, work: StepTask, claim: Claim) -> Flow | None:
        """Run a claimed step and commit it; or fail the flow, if the step cannot succeed."""
        if claim.epoch > work.definition.limits.max_attempts:
            return await self._fail(
                work.tenant, state, begin.given_up(step, claim.epoch), "attempts"
            )
        writer = StepWriter(
            self.ledger,
            self.budgets,
            claim,
            crew=work.definition.name,
            task=work.prompt.task,
            lease_seconds=self.timing.lease_seconds,
            beat_seconds=self.timing.beat_seconds,
        )
        work = replace(work, lessons=await self._lessons(work))
        try:
            result = await writer.during(self._attempts(work, writer))
        except StepFailedError as error:
            await writer.note(str(error))
            return await self._fail(work.tenant, state, f"{step.id}: {error}", "step")
        except (FencedError, ExpiredError, NotFoundError, UnavailableError):
            raise
        except Exception as error:
            await writer.note(f"the worker stopped with {type(error).__name__}")
            raise
        writer.post(events.custom("agent_finished", work.who()))
        after = await writer.commit(result)
        await self._learnt(work, result)
        return after

    async def _attempts(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Run the step as often as its task allows. Raises StepFailedError of the last attempt."""
        for left in range(work.definition.tasks[work.prompt.task].retries, 0, -1):
            try:
                return await self._attempt(work, session)
            except StepFailedError as error:
                failed = {"step": work.prompt.step, "error": str(error)}
                session.post(events.custom("step_failed", failed | {"retries_left": left - 1}))
        return await self._attempt(work, session)

    async def _attempt(self, work: StepTask, session: Session) -> dict[str, Any]:
        seconds = work.definition.tasks[work.prompt.task].max_execution_time
        try:
            async with asyncio.timeout(seconds):
                return await self.runner.run(work, session)
        except TimeoutError as error:
            raise StepFailedError(f"it took longer than {seconds} s") from error

    async def _lessons(self, work: StepTask) -> tuple[str, ...]:
        try:
            return await self.lessons.before(work)
        except UnavailableError:
            log.warning("step %s of flow %s begins without lessons", work.prompt.step, work.flow)
            return ()

    async def _learnt(self, work: StepTask, result: dict[str, Any]) -> None:
        try:
            await self.lessons.after(work, result)
        except UnavailableError:
            log.warning("what came of %s in flow %s is lost", work.prompt.step, work.flow)

    async def _wait(self, tenant: str, state: Flow, wait: strategies.Wait) -> None:
        waiting = {
            "review": wait.name,
            "reason": "person",
            "task": wait.task,
            "step": wait.step,
            "agent": wait.agent,
            "output": wait.output,
        }
        await self.ledger.transition(
            tenant,
            state.id,
            Status.WAITING,
            status_epoch=state.status_epoch,
            events=_stamped(events.custom("waiting", waiting)),
            waiting=waiting,
        )

    async def _end(self, tenant: str, state: Flow, output: Any) -> None:
        await self.ledger.transition(
            tenant,
            state.id,
            Status.SUCCEEDED,
            status_epoch=state.status_epoch,
            events=_stamped(events.run_finished(state.id, output)),
            output=output,
        )

    async def _fail(self, tenant: str, state: Flow, message: str, code: str) -> None:
        await self.ledger.transition(
            tenant,
            state.id,
            Status.FAILED,
            status_epoch=state.status_epoch,
            events=_stamped(events.run_error(message, code)),
            error=message,
        )


async def due(ledger: RunLedger, limit: int, back_off_ms: int) -> AsyncGenerator[tuple[str, str]]:
    """Yield (tenant, flow) of what should be looked at now, at most `limit` of each tenant.

    What is yielded is put off by `back_off_ms`: if it gets lost, it comes again after that.
    """
    for tenant in await ledger.tenants():
        for flow in await ledger.take(tenant, limit, back_off_ms):
            yield tenant, flow


def _stamped(told: list[Event]) -> list[Event]:
    return events.stamped(told, time.time_ns() // 1_000_000)
