"""The run ledger: every change of a flow, each done exactly once however often it is sent.

No queue makes a model call exactly-once, so the guarantee lives here. A worker *claims* a step and
gets an epoch with a lease; whoever claims it after the lease ran out gets the next epoch, and from
then on the earlier worker is fenced. What a worker writes is identified by (step, epoch, seq), so
a reply that was lost may be asked for again. A step is *committed* once; the commit returns the
state after it, and only from that is it safe to say which steps are ready.

A flow that has not ended is always in the due set, scored by when it must be looked at next:
a worker that dies, or a wake-up that gets lost, costs time and nothing else. That time is the
earliest end of a lease, so a healthy flow is left alone; or earlier, when somebody has yet to look
at what a commit made ready.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.blobs import BlobRef
from core.costs.model_choices import TaskOutcome
from core.due_loop import Due
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
    """A step held by one worker from now until its lease ends.

    `attempt` counts the claims of the step that were not given back, this one included.
    """

    tenant: str
    flow: str
    step: str
    epoch: int
    attempt: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class StepBusy:
    """The step cannot be claimed for `remaining_ms` more: somebody holds it, or it was put off."""

    remaining_ms: int


@dataclass(frozen=True, slots=True)
class StepWrite:
    """Payload of one write of a claim: events in order, and of what an attempt failed, if one did.

    `message` is the id of the text message that is still open after these events. `outcome` is what
    came of the step for the trial that it is in; a commit counts it, and removes what of the step's
    `journal` has these keys.
    """

    events: list[Event] = field(default_factory=list[Event])
    message: str | None = None
    error: str | None = None
    outcome: TaskOutcome | None = None
    journal: tuple[str, ...] = ()


class FencedError(Exception):
    """This worker no longer holds what it writes to: stop, and leave the flow to its successor."""


class ExpiredError(Exception):
    """The flow has taken as long as it may: end it."""


FOR_MONEY = "budget"  # the reason of a flow that waits until a budget has room
LEAST_WAIT_MS = 2_000  # of one: should a window have ended already, nothing goes round in a circle

# Of an id that was made of what the request brought.
ID_TAKEN = "this Idempotency-Key, or AG-UI run, belongs to another request: take a new one"


class RunLedger(Protocol):
    """Port: changing flows.

    Every method may be called again with the same arguments after a reply was lost, and then
    changes nothing. A flow that is gone raises NotFoundError; a store that does not answer,
    UnavailableError; a payload that the store cannot take, TooLargeError.
    """

    async def create(self, tenant: str, launch: Launch) -> bool:
        """Create a flow. True if it is new, False if the same request made it before.

        Its log begins with `launch.first_events()`. Every later change of the public state is a
        STATE_DELTA in the log, before the events that are written with it. It is due at once.
        Raises ConflictError if another request has this id.
        """
        ...

    async def created_by(self, tenant: str, flow: str, digest: str) -> bool:
        """Tell whether this request made the flow; False if there is none.

        Raises ConflictError if another request has this id.
        """
        ...

    async def state(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        """Return the whole state, results included.

        It may be a moment old, as a replica has it, though a flow that exists is found; with
        `fresh` it shows all that was written before it was asked for. Who is told that a state was
        old (FencedError, StepBusy) reads the next one fresh, or would go round in a circle.
        """
        ...

    async def announce_start(self, tenant: str, flow: str, events: list[Event]) -> None:
        """Tell with `events` that a worker loads for a queued flow, which its state says from then on.

        Once for each flow: from the second time on, and when a step has begun, nothing changes.
        """
        ...

    async def claim(
        self,
        tenant: str,
        flow: str,
        step: Step,
        *,
        owner: str,
        lease_ms: int,
        events: list[Event],
        seen: int = 0,
        more: bool = False,
    ) -> Claim | StepBusy:
        """Claim `step` if its epoch is still the one given, and emit `events` with that.

        `owner` is a nonce of this attempt. `seen` is the version of the state that the step was
        chosen from: what was committed up to it needs no other look. With `more`, further steps
        are free, and the flow stays due now. The first claim of a flow makes it running. A message
        that an earlier attempt left open is ended first, and its calls that were never settled
        count as lost. Raises FencedError if the step has moved on since `step` was read, or the
        flow has ended or waits; ExpiredError if its time is over.
        """
        ...

    async def add_steps(self, tenant: str, known: Flow, steps: tuple[Step, ...]) -> Flow:
        """Add those of the steps that the flow does not have, in this order; return its state.

        Costs what has changed since the state that is `known`. Changes nothing where it has them
        all. Raises FencedError if the flow has ended.
        """
        ...

    async def reschedule(
        self, tenant: str, flow: str, delay_ms: int, *, seen: int | None = None
    ) -> None:
        """Have a flow looked at in `delay_ms`, or when its time is over if that is earlier.

        One whose state is no longer of the version `seen`, or that has ended, stays as it is.
        Raises ExpiredError if its time is over now.
        """
        ...

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        """Append events, renew the lease; return the number of the last event.

        `seq` rises by one with each new write of a claim. An error bumps the state version, events
        alone do not. Raises FencedError, and ExpiredError when the flow's time is over.
        """
        ...

    async def release(
        self, claim: Claim, seq: int, write: StepWrite, *, delay_ms: int, reason: str
    ) -> None:
        """Append events and give the claim back: the step is pending again, no attempt is counted.

        Before `delay_ms` nobody can claim it; the flow is due then. A delay is counted as a deferral
        of the step and told as a CUSTOM event `step_deferred` {step, reason, retry_after_ms}. An
        open message is ended, calls that were never settled count as lost. Raises FencedError.
        """
        ...

    async def commit(
        self,
        claim: Claim,
        seq: int,
        result: dict[str, Any] | BlobRef,
        write: StepWrite,
        known: Flow | None = None,
    ) -> Flow:
        """Store the step's result, for good; return the state after it. Raises FencedError.

        Costs what has changed since the state that is `known`. A step that is done in time's last
        moment is done: its result was paid for.
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
        outcomes: Sequence[TaskOutcome] = (),
        budgets_version: str | None = None,
    ) -> None:
        """Change the status if the status epoch is still `status_epoch`.

        Only the transition that moved the flow may be sent again, which its id tells from every
        other (`core.crews.ledger_rules`). A flow that waits says `waiting` for what, and is not
        looked at before its time is over or it moves on; one that waits for money (`{"reason":
        "budget", "until_ms": ...}`) also then, when a budget changes (or has changed since
        `budgets_version`), when a late answer gives money back, and when the lease of a step is over
        whose calls hold some. What it waited for is kept as one more result, `answer` (name, result),
        and the flow is due at once. When it ends, its steps that run end with it as
        failed or cancelled, calls that were never settled count as lost, and messages that are open
        are ended. Its webhooks are due at once. `outcomes` count in their trials. Raises
        FencedError if the epoch is another, or the flow has ended.
        """
        ...

    async def record_failure(self, tenant: str, flow: str) -> int:
        """Count a failure outside of any step; return how many there were since the last commit."""
        ...

    async def delete(self, tenant: str, flow: str) -> None:
        """Remove a flow that has ended, its log, and what of it was still to be sent by webhook.

        Called again it raises NotFoundError. Raises ConflictError if the flow has not ended.
        """
        ...

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[str]:
        """Return at most `limit` flows that are due, at most `per_tenant` of one tenant.

        Each is due again in `lease_ms`, unless its look decides otherwise. Tenants come in
        rotation. Costs the same however many tenants there are.
        """
        ...
