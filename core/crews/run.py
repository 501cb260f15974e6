"""Running a flow: take steps that are ready until it ends, waits, or the time is up.

A worker holds nothing that its death would lose: it claims a step, runs it, commits, and decides
what is next from the state that the commit returned. Of several steps that are ready it takes one
and wakes another worker, which does the same, so what may run side by side does.
"""

import logging
import secrets
from dataclasses import dataclass, replace
from typing import Any

from core import logs
from core.blobs import BlobRef
from core.costs.budgets import BudgetBook
from core.crews import run_step, strategies
from core.crews.clock import Clock, NowMs, now_ms
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, StepBusy
from core.crews.lessons import Lessons
from core.crews.run_step import Outcome, StepCrashedError, StepError, Timing
from core.crews.wakeups import WakeQueue, wake_worker
from core.crews.work import CrewRunner, StepTask
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows import Flow, Status, Step, events
from core.flows.state import output_ref, shown_result
from core.flows.values import (
    INLINE,
    LargeValues,
    LostValueError,
    StoreAwayError,
    draft_blob,
    output_blob,
)

log = logging.getLogger(__name__)

MOST_FAILURES = 5  # outside of steps; then the flow ends
ERROR_CHARACTERS = 500
AWAY_MS = 10_000  # until a flow is looked at again that lacks the object store
WAIT_LOOK_MS = 24 * 3600 * 1000  # how often a flow that waits for a person is looked at


@dataclass(slots=True)
class _Visit:
    """A worker's way through a flow, and what stays the same on it."""

    tenant: str
    clock: Clock
    _tasks: strategies.TaskGraph | None = None

    def tasks(self, state: Flow) -> strategies.TaskGraph:
        """Return the flow's tasks; a crew is read once, and only if there is something to do."""
        if self._tasks is None:
            self._tasks = strategies.TaskGraph.of(state)
        return self._tasks


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes flows forward. Holds nothing between two calls."""

    ledger: RunLedger
    budgets: BudgetBook
    wake_queue: WakeQueue
    runner: CrewRunner
    lessons: Lessons
    timing: Timing
    now_ms: NowMs = now_ms
    values: LargeValues = INLINE

    async def run_flow(self, tenant: str, flow: str, clock: Clock) -> Outcome:
        """Run steps of a flow until it ends or waits, others hold what is ready, or the time is up.

        A flow that is gone is nothing to do. Raises UnavailableError, StepCrashedError, and what
        went wrong outside of its steps; the flow stays due.
        """
        logs.add(tenant=tenant, flow=flow)
        visit = _Visit(tenant, clock)
        try:
            reached: Flow | Outcome = await self.ledger.state(tenant, flow)
            while isinstance(reached, Flow):
                reached = await self._continue(visit, reached)
        except FencedError:
            reached = Outcome.FENCED
        except LostValueError as error:
            reached = await self._record_failure(tenant, flow, error)
        except NotFoundError:
            reached = Outcome.GONE
        except (UnavailableError, StepCrashedError):
            raise
        except Exception as error:  # noqa: BLE001 -- it is counted, and raised again
            reached = await self._record_failure(tenant, flow, error)
        log.info("left the flow", extra={"outcome": reached.name.lower()})
        return reached

    async def _record_failure(self, tenant: str, flow: str, error: Exception) -> Outcome:
        """Count what went wrong outside of a step, raise it again; after some times end the flow.

        Nothing else counts it: a definition that this version cannot read would fail for ever. An
        output that is too large would be that the next time, too.
        """
        why = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        failures = await self.ledger.record_failure(tenant, flow, why)
        if failures < MOST_FAILURES and not isinstance(error, TooLargeError):
            raise error
        log.error("the flow is given up", exc_info=error)
        state = await self.ledger.state(tenant, flow)
        return await self._fail(tenant, state, f"the flow cannot go on: {why}", "internal")

    async def _continue(self, visit: _Visit, state: Flow) -> Flow | Outcome:
        """Do what is next; return the state after it, or why this worker is done."""
        if state.head.status.terminal:
            return Outcome.ENDED
        try:
            if state.head.status is Status.WAITING:
                await self.ledger.reschedule(
                    visit.tenant, state.id, WAIT_LOOK_MS, seen=state.head.version
                )
                return Outcome.WAITS
            return await self._dispatch(visit, state)
        except ExpiredError:
            state = await self.ledger.state(visit.tenant, state.id, fresh=True)
            return await self._fail(
                visit.tenant, state, "the flow took longer than it may", "time_limit"
            )

    async def _dispatch(self, visit: _Visit, state: Flow) -> Flow | Outcome:
        """Do what is next. Without the object store, where that has to do with it, come later."""
        try:
            return await self._do_next(visit, await self.values.whole(visit.tenant, state))
        except StoreAwayError as error:
            log.warning("the flow goes on later: %s", error)
            await self.ledger.reschedule(visit.tenant, state.id, AWAY_MS)
            return Outcome.DEFERRED

    async def _do_next(self, visit: _Visit, state: Flow) -> Flow | Outcome:
        tenant = visit.tenant
        match visit.tasks(state).next_action(state.results):
            case strategies.End(output):
                return await self._end(tenant, state, output)
            case strategies.Wait() as wait:
                return await self._wait(tenant, state, wait)
            case strategies.Ready(steps):
                if visit.clock.seconds_left() < self.timing.step_seconds:
                    await self.ledger.reschedule(tenant, state.id, 0)
                    await self.wake_queue.enqueue(tenant, state.id)
                    return Outcome.OUT_OF_TIME
                state = await self._ensure_steps(tenant, state, steps)
                ready = {step.id for step in steps}
                return await self._run_next_step(visit, state, ready)

    async def _ensure_steps(self, tenant: str, state: Flow, steps: tuple[Step, ...]) -> Flow:
        known = {step.id for step in state.steps}
        if all(step.id in known for step in steps):
            return state
        return await self.ledger.add_steps(tenant, state, steps)

    async def _run_next_step(self, visit: _Visit, state: Flow, ready: set[str]) -> Flow | Outcome:
        """Run the first of these steps that nobody holds; those that nobody began come first.

        A step that has moved on since the state was read is looked at anew.
        """
        free = [step for step in state.steps if step.id in ready and step.state == "pending"]
        held = [step for step in state.steps if step.id in ready and step.state != "pending"]
        moved = False
        for at, step in enumerate([*free, *held]):
            work = run_step.build_work(visit.tenant, visit.tasks(state), state, step)
            try:
                claim = await self._claim(work, state, step, more=at + 1 < len(free))
            except FencedError:
                moved = True
                continue
            if isinstance(claim, Claim):
                if at + 1 < len(free):
                    await wake_worker(self.wake_queue, visit.tenant, state.id)
                work = replace(work, attempt=claim.attempt)
                return await self._run(state, step, work, claim, visit.clock)
        return (
            await self.ledger.state(visit.tenant, state.id, fresh=True) if moved else Outcome.BUSY
        )

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

    async def _run(
        self, state: Flow, step: Step, work: StepTask, claim: Claim, clock: Clock
    ) -> Flow | Outcome:
        """Run a claimed step and commit it; or fail the flow, if the step cannot succeed."""
        if claim.attempt > work.definition.limits.max_attempts:
            message = run_step.attempts_exceeded_message(step, claim.attempt)
            return await self._fail(work.tenant, state, message, "attempts")
        parts = run_step.Parts(
            self.ledger, self.budgets, self.runner, self.lessons, self.timing, self.now_ms,
            self.values,
        )  # fmt: skip
        try:
            with logs.context(step=step.id, attempt=claim.attempt):
                reached = await run_step.run(parts, work, claim, state, clock)
        except StepError as error:
            return await self._fail(work.tenant, state, f"{step.id}: {error}", "step")
        if reached is Outcome.OUT_OF_TIME:
            await wake_worker(self.wake_queue, work.tenant, work.flow)
        return reached

    async def _wait(self, tenant: str, state: Flow, wait: strategies.Wait) -> Outcome:
        waiting = {
            "review": wait.name,
            "reason": "person",
            "task": wait.task,
            "step": wait.step,
            "agent": wait.agent,
            **await self._draft(tenant, state, wait),
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

    async def _draft(self, tenant: str, state: Flow, wait: strategies.Wait) -> dict[str, Any]:
        """Return the draft that a person is asked about, or where that is read."""
        blob = draft_blob(state.id, state.head.incarnation, wait.name)
        kept = await self.values.keep(tenant, blob, wait.output)
        if not isinstance(kept, BlobRef):
            return {"output": kept}
        return {"output": None, "output_ref": output_ref(state.id, kept.bytes, wait.name)}

    async def _end(self, tenant: str, state: Flow, output: Any) -> Outcome:
        blob = output_blob(state.id, state.head.incarnation)
        output = await self.values.keep(tenant, blob, output)
        await self.ledger.transition(
            tenant,
            state.id,
            Status.SUCCEEDED,
            status_epoch=state.status_epoch,
            events=events.stamped(
                events.run_finished(state.id, shown_result(state.id, output)), self.now_ms()
            ),
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
