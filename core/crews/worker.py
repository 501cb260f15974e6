"""Worker: runs a flow's steps until the flow ends, waits, or the time is up.

A worker holds nothing that its death would lose: it claims a step, runs it, commits, and decides
what is next from the state that the commit returned. Of several steps that are ready it takes one
and wakes another worker, which does the same, so what may run side by side does.

    Worker.run_flow      visits a flow           strategies say what is next, Transitions end it
    StepRunner.run       runs a claimed step     what happens is written through an EventBuffer
    CrewRunner.run       asks one agent once     the model and the tools
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from core import logs
from core.crews import strategies
from core.crews.clock import Clock
from core.crews.crew_runner import StepTask
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger
from core.crews.outcomes import (
    MoneyWait,
    Outcome,
    StepCrashedError,
    StepError,
    TooManyAttemptsError,
)
from core.crews.step_ids import task_of
from core.crews.step_runner import StepRunner, build_work
from core.crews.transitions import Transitions
from core.crews.wakeups import WakeQueue, wake_worker
from core.due_loop import Due
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows import Flow, Status, Step
from core.flows.values import LargeValues, LostValueError, StoreAwayError
from core.time_of_day import NowMs, now_ms

log = logging.getLogger(__name__)

TOOK_TOO_LONG = "the flow took longer than limits.time_limit_seconds of its crew allows"
MOST_FAILURES = 5  # outside of steps; then the flow ends
ERROR_CHARACTERS = 500
AWAY_MS = 10_000  # until a flow is looked at again that lacks the object store
WAIT_LOOK_MS = 24 * 3600 * 1000  # how often a flow that waits for a person is looked at
LOOK_SECONDS = 0.2  # between two looks at the threads that a step left behind
LATE_SECONDS = 2.0  # that writing down what their calls cost may take, before the flow is left


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes flows forward. Holds nothing between two calls."""

    ledger: RunLedger
    wake_queue: WakeQueue
    steps: StepRunner
    values: LargeValues
    now_ms: NowMs = now_ms

    async def lease_due(self, limit: int, per_tenant: int) -> Due[str]:
        """Return flows to run now; each is due again after a lease, should this worker die."""
        return await self.ledger.lease(limit, per_tenant, self.steps.timing.lease_ms)

    async def run_flow(self, tenant: str, flow: str, clock: Clock) -> Outcome:
        """Run steps of a flow until it ends or waits, others hold what is ready, or the time is up.

        A flow that is gone is nothing to do. Raises UnavailableError, StepCrashedError, and what
        went wrong outside of its steps; the flow stays due. In any case it returns when nothing
        that it ran is at work here, or the time is up: its place is its tenant's share of a worker.
        """
        logs.add(tenant=tenant, flow=flow)
        visit = _Visit(self, tenant, flow, clock)
        try:
            outcome = await visit.run()
        except Exception:
            await visit.ended()
            raise
        await visit.ended()
        return outcome


@dataclass(slots=True)
class _Visit:
    """A worker's way through a flow, from the state it finds to where it leaves."""

    worker: Worker
    tenant: str
    flow: str
    clock: Clock
    _has_run_steps: bool = False
    _has_waited: bool = False  # for money, until now
    _tasks: strategies.TaskGraph | None = None
    _transitions: Transitions = field(init=False)

    def __post_init__(self) -> None:
        worker = self.worker
        of = self.tenant, worker.now_ms, worker.steps.deployed_model
        self._transitions = Transitions(worker.ledger, worker.values, *of)

    async def run(self) -> Outcome:
        try:
            reached: Flow | Outcome = await self.worker.ledger.state(self.tenant, self.flow)
            while isinstance(reached, Flow):
                reached = await self._advance(reached)
        except Exception as error:  # noqa: BLE001 -- it is counted, and raised again
            reached = await self._outcome_of(error)
        log.info("left the flow", extra={"outcome": reached.name.lower()})
        return reached

    async def ended(self) -> None:
        """Return when no thread of a step is at work, or the time is up, and its calls are counted."""
        runner = self.worker.steps.runner
        if not self._has_run_steps:
            return
        while runner.is_at_work(self.tenant, self.flow) and self.clock.seconds_left() > 0:  # noqa: ASYNC110 -- a clock tells no event
            await asyncio.sleep(LOOK_SECONDS)
        await self.worker.steps.late_calls.settled(self.tenant, self.flow, LATE_SECONDS)

    # Where it leaves after an error; `core.crews.outcomes` has the table.

    async def _outcome_of(self, error: Exception) -> Outcome:
        match error:
            case FencedError():
                return Outcome.FENCED
            case NotFoundError() if not isinstance(error, LostValueError):
                return Outcome.GONE
            case UnavailableError() | StepCrashedError():
                raise error
            case _:
                return await self._record_failure(error)

    async def _record_failure(self, error: Exception) -> Outcome:
        """Count what went wrong outside of a step, raise it again; after some times end the flow.

        Nothing else counts it: a definition that this version cannot read would fail for ever. An
        output that is too large would be that the next time, too.
        """
        ledger, why = self.worker.ledger, f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        failures = await ledger.record_failure(self.tenant, self.flow)
        if failures < MOST_FAILURES and not isinstance(error, TooLargeError):
            raise error
        log.error("the flow is given up", exc_info=error)
        state = await ledger.state(self.tenant, self.flow)
        return await self._fail(state, f"the flow cannot go on: {why}", "internal")

    async def _fail(
        self, state: Flow, message: str, code: str, tasks: Collection[str] = ()
    ) -> Outcome:
        await self._transitions.fail(state, message, code, tasks)
        return Outcome.ENDED

    # From one state to the next.

    async def _advance(self, state: Flow) -> Flow | Outcome:
        """Do what is next; return the state after it, or why this worker is done."""
        if state.head.status.terminal:
            return Outcome.ENDED
        try:
            if state.head.status is Status.WAITING and state.waits_for_money:
                await self._transitions.try_again(state)
                self._has_waited = True
                return await self.worker.ledger.state(self.tenant, self.flow, fresh=True)
            if state.head.status is Status.WAITING:
                await self._look_again_in(WAIT_LOOK_MS, seen=state.head.version)
                return Outcome.WAITS
            return await self._do_next_action(state)
        except ExpiredError:
            state = await self.worker.ledger.state(self.tenant, self.flow, fresh=True)
            running = {task_of(step.id) for step in state.steps if step.state == "running"}
            return await self._fail(state, TOOK_TOO_LONG, "time_limit", running)

    async def _do_next_action(self, state: Flow) -> Flow | Outcome:
        """Do what the strategies say. Where that lacks the object store, come later."""
        try:
            state = await self.worker.values.whole(self.tenant, state)
            match self._task_graph(state).next_action(state.results):
                case strategies.End(output):
                    crew = self._task_graph(state).definition
                    await self.worker.steps.lessons.learn_outcome(self.tenant, state, crew, output)
                    await self._transitions.succeed(state, output)
                    return Outcome.ENDED
                case strategies.Wait() as wait:
                    await self._transitions.wait(state, wait)
                    return Outcome.WAITS
                case strategies.Ready(steps):
                    if self.clock.seconds_left() < self.worker.steps.timing.step_seconds:
                        return await self._hand_over()
                    state = await self._with_steps(state, steps)
                    return await self._run_one_of(state, {step.id for step in steps})
        except StoreAwayError as error:
            log.warning("the flow goes on later: %s", error)
            await self._look_again_in(AWAY_MS)
            return Outcome.DEFERRED

    def _task_graph(self, state: Flow) -> strategies.TaskGraph:
        """Return the flow's tasks; a crew is read once, and only if there is something to do."""
        if self._tasks is None:
            self._tasks = strategies.TaskGraph.of(state)
        return self._tasks

    async def _look_again_in(self, delay_ms: int, seen: int | None = None) -> None:
        await self.worker.ledger.reschedule(self.tenant, self.flow, delay_ms, seen=seen)

    # Running a step.

    async def _hand_over(self) -> Outcome:
        """Ask for another worker: this one has no time for one more step."""
        await self._look_again_in(0)
        await self.worker.wake_queue.enqueue(self.tenant, self.flow)
        return Outcome.OUT_OF_TIME

    async def _with_steps(self, state: Flow, steps: tuple[Step, ...]) -> Flow:
        known = {step.id for step in state.steps}
        if all(step.id in known for step in steps):
            return state
        return await self.worker.ledger.add_steps(self.tenant, state, steps)

    async def _run_one_of(self, state: Flow, ready: set[str]) -> Flow | Outcome:
        """Run the first of these steps that nobody holds; those that nobody began come first.

        Not so where the flow waited for money: what it waits for may be held by a step whose worker is gone.
        A step that has moved on since the state was read is looked at anew.
        """
        free = [step for step in state.steps if step.id in ready and step.state == "pending"]
        held = [step for step in state.steps if step.id in ready and step.state != "pending"]
        order = [*held, *free] if self._has_waited else [*free, *held]
        moved = False
        for at, step in enumerate(order):
            work = build_work(self.tenant, self._task_graph(state), state, step)
            more, seen = any(each in free for each in order[at + 1 :]), state.head.version
            try:
                claim = await self.worker.steps.claim(work, step, seen=seen, more=more)
            except FencedError:
                moved = True
                continue
            if isinstance(claim, Claim):
                if more:
                    await wake_worker(self.worker.wake_queue, self.tenant, self.flow)
                return await self._run_step(work, claim, state, step)
        if not moved:
            return Outcome.BUSY
        return await self.worker.ledger.state(self.tenant, self.flow, fresh=True)

    async def _run_step(
        self, work: StepTask, claim: Claim, state: Flow, step: Step
    ) -> Flow | Outcome:
        """Run a claimed step and commit it; or fail the flow, if the step cannot succeed."""
        self._has_run_steps = True
        try:
            with logs.context(step=step.id, attempt=claim.attempt):
                reached = await self.worker.steps.run(work, claim, state, self.clock)
        except TooManyAttemptsError as error:
            return await self._fail(state, str(error), "attempts", {work.prompt.task})
        except StepError as error:
            return await self._fail(state, f"{step.id}: {error}", "step", {work.prompt.task})
        if isinstance(reached, MoneyWait):
            await self._transitions.wait_for_money(state, reached)
            return Outcome.WAITS
        if reached is Outcome.OUT_OF_TIME:
            await wake_worker(self.worker.wake_queue, self.tenant, self.flow)
        return reached
