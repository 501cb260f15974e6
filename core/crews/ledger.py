"""The run ledger: every change of a flow, each done exactly once however often it is sent.

No queue makes a model call exactly-once, so the guarantee lives here. A worker *claims* a step and
gets an epoch with a lease; whoever claims it after the lease ran out gets the next epoch, and from
then on the earlier worker is fenced. What a worker writes is identified by (step, epoch, seq), so
a reply that was lost may be asked for again. A step is *committed* once; the commit returns the
whole state after it, and only from that is it safe to say which steps are ready.

A flow that is not terminal is always in the tenant's due set, scored by when to look at it next:
a worker that dies, or a wake-up that gets lost, costs time and nothing else.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from core.flows import Flow, Head, Status, Step, events
from core.flows.events import Event


@dataclass(frozen=True, slots=True)
class Launch:
    """What a new flow is made of. `digest` tells one request from another under the same id.

    `created_ms` is the launching clock's, for show; no decision rests on it. The flow may take
    `time_limit_ms` from its creation, by the store's clock. `results` are of steps that need not
    run again, as an earlier flow had them: their `steps` are done.
    """

    flow: str
    digest: str
    incarnation: str
    crew: str
    definition: dict[str, Any]
    definition_digest: str
    inputs: dict[str, Any]
    steps: tuple[Step, ...]
    created_ms: int
    time_limit_ms: int | None = None
    webhooks: dict[str, Any] = field(default_factory=dict[str, Any])
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    launched_by: str | None = None  # the subject of a token

    def first_state(self) -> Flow:
        """Return the state in which the flow will be when it is created."""
        head = Head(self.incarnation, 0, 1, Status.QUEUED)
        return Flow(
            id=self.flow,
            head=head,
            crew=self.crew,
            created_ms=self.created_ms,
            updated_ms=self.created_ms,
            definition=self.definition,
            definition_digest=self.definition_digest,
            inputs=self.inputs,
            webhooks=self.webhooks,
            steps=self.steps,
            results=self.results,
            launched_by=self.launched_by,
        )

    def first_events(self) -> list[Event]:
        """Return how the log begins: the run, and the state from which all deltas lead on."""
        state = events.state_snapshot(self.first_state().public())
        return events.stamped([*events.run_started(self.flow), state], self.created_ms)


@dataclass(frozen=True, slots=True)
class Claim:
    """A step held by one worker from now until its lease ends."""

    tenant: str
    flow: str
    step: str
    epoch: int


@dataclass(frozen=True, slots=True)
class StepBusy:
    """Somebody else holds the step for `remaining_ms` more."""

    remaining_ms: int


@dataclass(frozen=True, slots=True)
class StepWrite:
    """What one emit carries: events in order, and of what an attempt failed, if one did.

    `message` is the one that is still being written after these events.
    """

    events: list[Event] = field(default_factory=list[Event])
    message: str | None = None
    error: str | None = None


class FencedError(Exception):
    """This worker no longer holds what it writes to: stop, and leave the flow to its successor."""


class ExpiredError(Exception):
    """The flow has taken as long as it may: end it."""


class RunLedger(Protocol):
    """Port: changing flows.

    Every method may be called again with the same arguments after a reply was lost, and then
    changes nothing and returns what the first call returned. A flow that is gone raises
    NotFoundError; a store that does not answer, UnavailableError.
    """

    async def create(self, tenant: str, launch: Launch) -> bool:
        """Create a flow. True if it is new, False if the same request made it before.

        Its log begins with `launch.first_events()`. Every later change of the public state is a STATE_DELTA in
        the log, first among the events that are written with it.

        Raises ConflictError if another request has this id.
        """
        ...

    async def state(self, tenant: str, flow: str) -> Flow:
        """Return the whole state, results included."""
        ...

    async def claim(
        self, tenant: str, flow: str, step: Step, *, owner: str, lease_ms: int, events: list[Event]
    ) -> Claim | StepBusy:
        """Claim `step` if its epoch is still the one given, and emit `events` with that.

        `owner` is a nonce of this attempt. The first claim of a flow makes it running. While somebody
        else holds the step, the flow is due when that lease ends, or earlier. A message
        that an earlier attempt left open is ended first, and its calls that were never settled
        count as lost. Raises FencedError if the step has moved on since `step` was read, or the flow
        has ended or waits; ExpiredError if its time is over.
        """
        ...

    async def add_steps(self, tenant: str, flow: str, steps: tuple[Step, ...]) -> Flow:
        """Add those of the steps that the flow does not have, in this order; return its state.

        Changes nothing where it has them all. Raises FencedError if the flow has ended.
        """
        ...

    async def reschedule(self, tenant: str, flow: str, delay_ms: int) -> None:
        """Have a flow looked at in `delay_ms`, or when its time is over if that is earlier.

        A flow that has ended stays as it is. Raises ExpiredError if its time is over now.
        """
        ...

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        """Append events, renew the lease; return the number of the last event.

        `seq` rises by one with each new write of a claim. An error bumps the state version, events
        alone do not. Raises FencedError, and ExpiredError when the flow's time is over.
        """
        ...

    async def commit(
        self, claim: Claim, seq: int, result: dict[str, Any], write: StepWrite
    ) -> Flow:
        """Store the step's result, for good; return the whole state after it. Raises FencedError.

        A step that is done in time's last moment is done: its result was paid for.
        """
        ...

    async def transition(
        self,
        tenant: str,
        flow: str,
        to: Status,
        *,
        status_epoch: int,
        events: list[Event],
        output: Any = None,
        error: str | None = None,
        waiting: dict[str, Any] | None = None,
        answer: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        """Change the status if the status epoch is still `status_epoch`.

        A flow that waits says `waiting` for what, and is not looked at before its time is over or
        it moves on. What it waited for is kept as one more result, `answer` (name, result), and the
        flow is due at once. When it ends, calls that were never settled count as lost. Raises
        FencedError if the epoch is another, or if the flow is terminal in another way.
        """
        ...

    async def take(self, tenant: str, limit: int, back_off_ms: int) -> list[str]:
        """Return at most `limit` flows that are due, each put off by `back_off_ms`."""
        ...

    async def tenants(self) -> list[str]:
        """Return the tenants that may have a flow which is not terminal."""
        ...
