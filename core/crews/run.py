"""Running a flow: take steps that are ready until it ends, waits, or the time is up.

A worker holds nothing that its death would lose: it claims a step, runs it, commits, and decides
what is next from the state that the commit returned. While a step runs, one task beats and writes
what happens; when the ledger says that the step is somebody else's now, the work stops there.
"""

import logging
import math
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from core import events
from core.crews import strategies
from core.crews.definition import Definition
from core.crews.ledger import Busy, Claim, FencedError, RunLedger, Wake, Write
from core.crews.writer import StepWriter
from core.errors import NotFoundError
from core.flows import Flow, Status

log = logging.getLogger(__name__)


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
        if self.lease_seconds < 3 * self.beat_seconds:
            raise ValueError("the lease must be at least three heartbeats long")

    @property
    def lease_ms(self) -> int:
        """The lease as the ledger counts it."""
        return int(self.lease_seconds * 1000)


@dataclass(frozen=True, slots=True)
class StepWork:
    """All that running one step takes. `results` holds every committed step's result.

    A result is `{"output": JSON or text, "raw": text as the model gave it}`.
    """

    tenant: str
    flow: str
    definition: Definition
    step: str
    attempt: int
    inputs: dict[str, Any]
    results: dict[str, Any]


Post = Callable[[Write], None]


class StepFailedError(Exception):
    """This attempt at the step failed for good; the message is for the user."""


class CrewRunner(Protocol):
    """Port: runs one step to its result."""

    async def run(self, work: StepWork, post: Post) -> dict[str, Any]:
        """Run the step; hand every event and every model call's usage to `post` as it happens.

        `post` may be called from any thread, returns at once, keeps the order, and raises
        FencedError when the step is no longer this worker's; let that through. Raises
        StepFailedError.
        """
        ...


class ToolContext(Protocol):
    """What a tool may reach: the inputs of its own tenant and its user's eye, nothing else."""

    def open(self, input_id: str) -> BinaryIO:
        """Return the bytes of an uploaded input. Raises NotFoundError."""
        ...

    def tell(self, insight: str) -> None:
        """Tell the user at once what was found on the way. Raises ValueError if it is too much."""
        ...


Tool = Callable[..., str]  # called as tool(context, **arguments); its docstring tells the model


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes flows forward. Holds nothing between two calls."""

    ledger: RunLedger
    wake: Wake
    runner: CrewRunner
    timing: Timing

    async def advance(self, tenant: str, flow: str, clock: Clock) -> None:
        """Run steps of a flow until it ends, others hold what is ready, or the time is up.

        A flow that is gone is nothing to do. Raises UnavailableError; the flow stays due.
        """
        try:
            state: Flow | None = await self.ledger.state(tenant, flow)
            while state is not None and not state.head.status.terminal:
                state = await self._next(tenant, state, clock)
        except FencedError:
            log.info("flow %s of %s is in other hands", flow, tenant)
        except NotFoundError:
            log.info("flow %s of %s is gone", flow, tenant)

    async def _next(self, tenant: str, state: Flow, clock: Clock) -> Flow | None:
        """Run one ready step; return the state after it, None if this worker is done."""
        definition = Definition.model_validate(state.definition)
        ready = strategies.ready(definition, state.results)
        if isinstance(ready, strategies.End):
            return await self._end(tenant, state, ready.output)
        if clock.seconds_left() < self.timing.step_seconds:
            return await self.wake.wake(tenant, state.id)
        for step in ready:
            claim = await self._claim(tenant, state, step)
            if isinstance(claim, Claim):
                return await self._run(definition, state, claim)
        return None

    async def _claim(self, tenant: str, state: Flow, step: str) -> Claim | Busy:
        seen = next(known for known in state.steps if known.id == step)
        begun = events.step_started(step, seen.epoch + 1)
        return await self.ledger.claim(
            tenant,
            state.id,
            seen,
            owner=secrets.token_hex(8),
            lease_ms=self.timing.lease_ms,
            events=events.stamped(begun, _now_ms()),
        )

    async def _run(self, definition: Definition, state: Flow, claim: Claim) -> Flow | None:
        """Run a claimed step and commit it; or fail the flow, if the step cannot succeed."""
        if claim.epoch > definition.limits.max_attempts:
            message = f"step {claim.step} was started {claim.epoch - 1} times and never finished"
            return await self._fail(claim.tenant, state, message, "attempts")
        writer = StepWriter(
            self.ledger,
            claim,
            lease_seconds=self.timing.lease_seconds,
            beat_seconds=self.timing.beat_seconds,
        )
        try:
            async with writer.writing():
                result = await self._result(_work(definition, state, claim), writer.post)
        except StepFailedError as error:
            return await self._fail(claim.tenant, state, f"{claim.step}: {error}", "step")
        return await writer.commit(result)

    async def _result(self, work: StepWork, post: Post) -> dict[str, Any]:
        """Run the step as often as its task allows. Raises StepFailedError of the last attempt."""
        for left in range(work.definition.tasks[work.step].retries, 0, -1):
            try:
                return await self.runner.run(work, post)
            except StepFailedError as error:
                failed = {"step": work.step, "error": str(error), "retries_left": left - 1}
                post(Write(events.custom("step_failed", failed)))
        return await self.runner.run(work, post)

    async def _end(self, tenant: str, state: Flow, output: Any) -> None:
        await self.ledger.move(
            tenant,
            state.id,
            Status.SUCCEEDED,
            status_epoch=state.status_epoch,
            events=events.stamped(events.run_finished(state.id, output), _now_ms()),
            output=output,
        )

    async def _fail(self, tenant: str, state: Flow, message: str, code: str) -> None:
        await self.ledger.move(
            tenant,
            state.id,
            Status.FAILED,
            status_epoch=state.status_epoch,
            events=events.stamped(events.run_error(message, code), _now_ms()),
            error=message,
        )


async def due(ledger: RunLedger, limit: int, back_off_ms: int) -> AsyncGenerator[tuple[str, str]]:
    """Yield (tenant, flow) of what should be looked at now, at most `limit` of each tenant.

    What is yielded is put off by `back_off_ms`: if it gets lost, it comes again after that.
    """
    for tenant in await ledger.tenants():
        for flow in await ledger.take(tenant, limit, back_off_ms):
            yield tenant, flow


def _work(definition: Definition, state: Flow, claim: Claim) -> StepWork:
    return StepWork(
        claim.tenant,
        state.id,
        definition,
        claim.step,
        claim.epoch,
        state.inputs,
        state.results,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
