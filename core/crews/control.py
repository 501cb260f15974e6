"""Control: what a person may do to a flow that is under way, or that failed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from core.blobs import BlobStore, flow_prefix, in_thread
from core.costs.trials import Signal
from core.crews import flow_ids, strategies
from core.crews.definition import Definition
from core.crews.launch import time_limit_ms
from core.crews.ledger import FencedError, Launch, RunLedger
from core.crews.step_ids import task_of
from core.crews.trials import outcomes
from core.crews.wakeups import WakeQueue, wake_worker
from core.errors import ConflictError, InvalidInputError
from core.flows import Flow, Status, Step, events
from core.flows.values import LargeValues
from core.time_of_day import NowMs, now_ms

FEEDBACK_CHARACTERS = 20_000  # of a person, whichever way they come
TRIES = 5  # at a flow that moves between being read and being written
CANCELLED = "cancelled by request"
WEBHOOKS_KEY = "webhooks"  # of an answer that is kept as a result: the addresses it added, and
REQUEST_KEY = "request"  # the request that brought it
TOO_QUICK = "the flow changes too quickly: send the request again"


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Changes flows at a person's word; workers are woken where there is something to do then."""

    ledger: RunLedger
    wake_queue: WakeQueue
    now_ms: NowMs = now_ms

    async def cancel(
        self,
        *,
        tenant: str,
        flow: str,
        review: str | None = None,
        subject: str | None = None,
    ) -> Flow:
        """End a flow for good and return its state; one that was cancelled before stays as it is.

        No step is begun any more, and the one that runs is left at its next model call: whatever its
        worker writes from now on is refused. In a trial of the task that was under way it counts as one that
        failed: a model that dawdles is cancelled more often, and would else be judged by its quick answers
        alone. With `review` it is ended only while it waits for that
        answer, else left alone. The log says that `subject` did it. Where the flow has webhooks, those who
        send them are woken. Raises ConflictError if the flow ended otherwise,
        NotFoundError, UnavailableError.
        """
        for _ in range(TRIES):
            state = await self.ledger.state(tenant, flow, fresh=True)
            if review is not None and (
                state.question is None or state.question["review"] != review
            ):
                return state
            if state.head.status is Status.CANCELLED:
                return state
            if state.head.status.terminal:
                raise ConflictError(f"the flow has {state.head.status.value} already")
            try:
                await self._end_cancelled(tenant, state, subject)
            except FencedError:
                continue  # it ended, or began to wait, since it was read
            if state.webhooks:
                await wake_worker(self.wake_queue, tenant, flow)
            return await self.ledger.state(tenant, flow, fresh=True)
        raise ConflictError(TOO_QUICK)

    async def _end_cancelled(self, tenant: str, state: Flow, subject: str | None) -> None:
        said = events.custom("cancelled", {"by": subject}) if subject else []
        ended = events.run_error(CANCELLED, Status.CANCELLED.value)
        await self.ledger.transition(
            tenant,
            state.id,
            Status.CANCELLED,
            status_epoch=state.status_epoch,
            events=events.stamped([*said, *ended], self.now_ms()),
            error=CANCELLED,
            outcomes=outcomes(state, _begun(state), Signal.ANSWERS, 0.0),
        )

    async def resume(
        self,
        *,
        tenant: str,
        flow: str,
        approve: bool,
        feedback: str,
        review: str | None = None,
        webhooks: Mapping[str, str] | None = None,
        request: str | None = None,
        subject: str | None = None,
    ) -> Flow:
        """Answer a flow that waits for a person, have it go on, and return its state.

        Approved, what the flow waits with stands; else it is done again with the feedback in mind.
        `review` names the question that is answered, so that no answer meets a draft that nobody has
        read; sent again, an answer changes nothing. Of two different ones, one is refused. The log says
        that `subject` gave it. `webhooks` are addresses by kind that are in use from this answer on.
        `request` is kept with the answer, for `review_answered_by`.
        Raises ConflictError if the flow does not wait, or waits for another answer; InvalidInputError
        if no review is named, or neither approval nor feedback is given; NotFoundError, UnavailableError.
        """
        said = _Answer(approve, feedback, subject)
        answer = said.result() | _given({WEBHOOKS_KEY: webhooks, REQUEST_KEY: request})
        state = await self.ledger.state(tenant, flow, fresh=True)
        if _has_answer(state, review, answer):
            return state
        asked = _question(state, review)
        try:
            await self._end_wait(tenant, state, asked, said, answer)
        except FencedError as error:
            state = await self.ledger.state(tenant, flow, fresh=True)
            if _has_answer(state, review, answer):
                return state
            raise ConflictError("the flow was answered by somebody else, or has ended") from error
        await wake_worker(self.wake_queue, tenant, flow)
        return await self.ledger.state(tenant, flow, fresh=True)

    async def _end_wait(
        self,
        tenant: str,
        state: Flow,
        asked: dict[str, Any],
        said: "_Answer",
        answer: dict[str, Any],
    ) -> None:
        """Have a flow go on with the answer to what it asked, which is kept as a result."""
        await self.ledger.transition(
            tenant,
            state.id,
            Status.RUNNING,
            status_epoch=state.status_epoch,
            events=events.stamped(said.told_to(asked), self.now_ms()),
            answer=(asked["review"], answer),
            outcomes=outcomes(state, [asked["task"]], Signal.PEOPLE, float(said.approve)),
        )

    async def delete(self, blobs: BlobStore, *, tenant: str, flow: str) -> None:
        """Remove a flow that has ended, and what the object store has of it.

        Its inputs stay: other flows may use them. The objects go first, so that a request which fails
        halfway can be sent again. Raises ConflictError if the flow has not ended, NotFoundError,
        UnavailableError.
        """
        state = await self.ledger.state(tenant, flow, fresh=True)
        if not state.head.status.terminal:
            raise ConflictError(f"the flow is {state.head.status.value}: cancel it first")
        await in_thread(blobs.delete_all, tenant, flow_prefix(flow))
        await self.ledger.delete(tenant, flow)

    async def redrive(
        self,
        values: LargeValues,
        *,
        tenant: str,
        flow: str,
        new_id: Callable[[], str],
    ) -> str:
        """Begin a flow that failed or was cancelled anew, and return the new flow's id.

        Committed steps keep their results, copied where `values` are large, and do not run again; the definition is the old flow's, and
        the time limit begins anew. Sent again for the same flow, it names the same new one. Raises
        ConflictError if the flow did not fail, NotFoundError, UnavailableError.
        """
        old = await self.ledger.state(tenant, flow, fresh=True)
        if old.head.status not in (Status.FAILED, Status.CANCELLED):
            raise ConflictError("only a flow that failed or was cancelled can be driven again")
        launch = _again(old, flow_ids.of_redrive(tenant, flow), new_id()[:8], self.now_ms())
        copied = await values.copied(tenant, old, launch.flow, launch.incarnation)
        launch = replace(launch, results=copied)
        if await self.ledger.create(tenant, launch):
            await wake_worker(self.wake_queue, tenant, launch.flow)
        return launch.flow


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a person says of a draft; `subject` is who."""

    approve: bool
    feedback: str
    subject: str | None

    def result(self) -> dict[str, Any]:
        """Return what is kept of it. Raises InvalidInputError where it says nothing."""
        if not self.approve and not self.feedback.strip():
            reason = "say what should be different, or approve"
            raise InvalidInputError("an answer that says nothing", {"/feedback": reason})
        return strategies.review_answer(self.approve, self.feedback)

    def told_to(self, asked: dict[str, Any]) -> list[events.Event]:
        """Return the event of a flow that asked this and is answered."""
        given = {"review": asked["review"], "task": asked["task"], "approved": self.approve}
        return events.custom("resumed", given | {"feedback": self.feedback, "by": self.subject})


def _begun(state: Flow) -> set[str]:
    """Return the tasks of steps that were begun and are not done."""
    begun = (step for step in state.steps if step.attempts or step.deferrals)
    return {task_of(step.id) for step in begun if step.state in ("running", "pending")}


def _question(state: Flow, review: str | None) -> dict[str, Any]:
    """Return what the flow asks a person, if that is what is answered."""
    asked = state.question
    if asked is None:
        raise ConflictError(f"the flow waits for nobody: it is {state.head.status.value}")
    if review is None:
        reason = f"say which answer this is; the flow waits for {asked['review']}"
        raise InvalidInputError("an answer to nothing", {"/review": reason})
    if review != asked["review"]:
        raise ConflictError(f"the flow waits for another answer: {asked['review']}")
    return asked


def _given(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value}


def _has_answer(state: Flow, review: str | None, answer: Mapping[str, Any]) -> bool:
    """Tell whether this review has this answer, whichever request brought it.

    Raises ConflictError if it has another one.
    """
    known = state.results.get(review) if review is not None else None
    if known is None:
        return False
    if any(known.get(part) != answer.get(part) for part in ("output", WEBHOOKS_KEY)):
        raise ConflictError(f"{review} has got another answer")
    return True


def request_of_key(idempotency_key: str) -> str:
    """Return what is kept of the Idempotency-Key with which an answer came."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]


def review_answered_by(state: Flow, request: str) -> str | None:
    """Return the review whose answer this request brought before; None if it is a new one."""
    for name, result in state.results.items():
        if isinstance(result, dict) and cast("dict[str, Any]", result).get(REQUEST_KEY) == request:
            return name
    return None


def _again(old: Flow, flow: str, incarnation: str, now_ms: int) -> Launch:
    definition = Definition.from_stored(old.definition)
    return Launch(
        flow=flow,
        digest=f"redrive {old.id}",
        incarnation=incarnation,
        crew=old.crew,
        definition=old.definition,
        definition_digest=old.definition_digest,
        inputs=old.inputs,
        steps=tuple(_kept(step, old.results) for step in old.steps),
        created_ms=now_ms,
        time_limit_ms=time_limit_ms(definition),
        webhooks=old.webhooks,
        results=old.results,
        launched_by=old.launched_by,
    )


def _kept(step: Step, results: dict[str, Any]) -> Step:
    if step.id in results:
        return step
    return Step(step.id, step.title, step.agent)
