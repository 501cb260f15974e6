"""Running a flow: take steps that are ready until it ends, waits, or the time is up.

A worker holds nothing that its death would lose: it claims a step, runs it, commits, and decides
what is next from the state that the commit returned. Of several steps that are ready it takes one
and wakes another worker, which does the same, so what may run side by side does.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from core.costs.budgets import BudgetBook
from core.crews import clock, run_step, strategies
from core.crews.clock import Clock
from core.crews.definition import Definition
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, StepBusy
from core.crews.lessons import Lessons
from core.crews.run_step import StepError, Timing
from core.crews.wakeups import WakeQueue, wake_worker
from core.crews.work import CrewRunner, StepTask
from core.errors import NotFoundError
from core.flows import Flow, Status, Step, events

log = logging.getLogger(__name__)

WAIT_LOOK_MS = 24 * 3600 * 1000  # how often a flow that waits for a person is looked at


class Outcome(Enum):
    """Why a worker is done with a flow for now."""

    ENDED = auto()
    WAITS = auto()  # for a person
    BUSY = auto()  # other workers hold all that is ready
    OUT_OF_TIME = auto()  # another worker was asked for
    GONE = auto()
    FENCED = auto()  # it moved on in other hands


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes flows forward. Holds nothing between two calls."""

    ledger: RunLedger
    budgets: BudgetBook
    wake_queue: WakeQueue
    runner: CrewRunner
    lessons: Lessons
    timing: Timing
    now_ms: Callable[[], int] = clock.now_ms

    async def run_flow(self, tenant: str, flow: str, clock: Clock) -> Outcome:
        """Run steps of a flow until it ends or waits, others hold what is ready, or the time is up.

        A flow that is gone is nothing to do. Raises UnavailableError; the flow stays due.
        """
        try:
            reached: Flow | Outcome = await self.ledger.state(tenant, flow)
            while isinstance(reached, Flow):
                reached = await self._continue(tenant, reached, clock)
        except FencedError:
            reached = Outcome.FENCED
        except NotFoundError:
            reached = Outcome.GONE
        log.info("flow %s of %s: %s", flow, tenant, reached.name.lower())
        return reached

    async def _continue(self, tenant: str, state: Flow, clock: Clock) -> Flow | Outcome:
        """Do what is next; return the state after it, or why this worker is done."""
        if state.head.status.terminal:
            return Outcome.ENDED
        try:
            if state.head.status is Status.WAITING:
                await self.ledger.reschedule(
                    tenant, state.id, WAIT_LOOK_MS, seen=state.head.version
                )
                return Outcome.WAITS
            return await self._dispatch(tenant, state, clock)
        except ExpiredError:
            state = await self.ledger.state(tenant, state.id)
            return await self._fail(tenant, state, "the flow took longer than it may", "time_limit")

    async def _dispatch(self, tenant: str, state: Flow, clock: Clock) -> Flow | Outcome:
        definition = Definition.model_validate(state.definition).filled(state.inputs)
        match strategies.next_action(definition, state.results):
            case strategies.End(output):
                return await self._end(tenant, state, output)
            case strategies.Wait() as wait:
                return await self._wait(tenant, state, wait)
            case strategies.Ready(steps):
                if clock.seconds_left() < self.timing.step_seconds:
                    await self.ledger.reschedule(tenant, state.id, 0)
                    await self.wake_queue.enqueue(tenant, state.id)
                    return Outcome.OUT_OF_TIME
                state = await self._ensure_steps(tenant, state, steps)
                ready = {step.id for step in steps}
                return await self._run_next_step(tenant, definition, state, ready)

    async def _ensure_steps(self, tenant: str, state: Flow, steps: tuple[Step, ...]) -> Flow:
        known = {step.id for step in state.steps}
        if all(step.id in known for step in steps):
            return state
        return await self.ledger.add_steps(tenant, state, steps)

    async def _run_next_step(
        self, tenant: str, definition: Definition, state: Flow, ready: set[str]
    ) -> Flow | Outcome:
        """Run the first of these steps that nobody holds; those that nobody began come first.

        A step that has moved on since the state was read is looked at anew.
        """
        free = [step for step in state.steps if step.id in ready and step.state == "pending"]
        held = [step for step in state.steps if step.id in ready and step.state != "pending"]
        moved = False
        for at, step in enumerate([*free, *held]):
            work = run_step.build_work(tenant, definition, state, step)
            try:
                claim = await self._claim(work, state, step, more=at + 1 < len(free))
            except FencedError:
                moved = True
                continue
            if isinstance(claim, Claim):
                if at + 1 < len(free):
                    await wake_worker(self.wake_queue, tenant, state.id)
                return await self._run(state, step, replace(work, attempt=claim.attempt), claim)
        return await self.ledger.state(tenant, state.id) if moved else Outcome.BUSY

    async def _claim(
        self, work: StepTask, state: Flow, step: Step, *, more: bool
    ) -> Claim | StepBusy:
        return await self.ledger.claim(
            work.tenant,
            work.flow,
            step,
            owner=secrets.token_hex(8),
            lease_ms=self.timing.lease_ms,
            events=events.stamped(run_step.step_started_events(work, step), self.now_ms()),
            seen=state.head.version,
            more=more,
        )

    async def _run(self, state: Flow, step: Step, work: StepTask, claim: Claim) -> Flow | Outcome:
        """Run a claimed step and commit it; or fail the flow, if the step cannot succeed."""
        if claim.attempt > work.definition.limits.max_attempts:
            message = run_step.attempts_exceeded_message(step, claim.attempt)
            return await self._fail(work.tenant, state, message, "attempts")
        parts = run_step.Parts(
            self.ledger, self.budgets, self.runner, self.lessons, self.timing, self.now_ms
        )
        try:
            return await run_step.run(parts, work, claim, state)
        except StepError as error:
            return await self._fail(work.tenant, state, f"{step.id}: {error}", "step")

    async def _wait(self, tenant: str, state: Flow, wait: strategies.Wait) -> Outcome:
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
            events=events.stamped(events.custom("waiting", waiting), self.now_ms()),
            waiting=waiting,
        )
        return Outcome.WAITS

    async def _end(self, tenant: str, state: Flow, output: Any) -> Outcome:
        await self.ledger.transition(
            tenant,
            state.id,
            Status.SUCCEEDED,
            status_epoch=state.status_epoch,
            events=events.stamped(events.run_finished(state.id, output), self.now_ms()),
            output=output,
        )
        return Outcome.ENDED

    async def _fail(self, tenant: str, state: Flow, message: str, code: str) -> Outcome:
        await self.ledger.transition(
            tenant,
            state.id,
            Status.FAILED,
            status_epoch=state.status_epoch,
            events=events.stamped(events.run_error(message, code), self.now_ms()),
            error=message,
        )
        return Outcome.ENDED


async def poll_due_flows(
    ledger: RunLedger, limit: int, back_off_ms: int, per_tenant: int = 1
) -> AsyncGenerator[tuple[str, str]]:
    """Lease due flows and yield them as (tenant, flow), `limit` at most, tenants in turn.

    Each becomes due again after `back_off_ms`, unless it was handled.
    """
    next_ms: int | None = 0
    while limit > 0 and next_ms == 0:
        due = await ledger.take(limit, per_tenant, back_off_ms)
        limit, next_ms = limit - len(due.flows), due.next_ms
        for tenant, flow in due.flows:
            yield tenant, flow
