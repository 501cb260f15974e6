"""POST /v1/agui/{crew} -- a flow as an AG-UI run, so that an AG-UI front end works unchanged.

The body is AG-UI's RunAgentInput. A run is a flow: the same `runId` in the same thread names the
same flow. A run that is sent again, and one that answers an interrupt (`resume`), begin with
snapshots of the messages and the state, and go on from there. A client that leaves does not end
the flow.

Only hosts that stream can serve this; on the others POST /v1/flows and a poll do.
"""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap
from core.crews import flow_ids, launch
from core.crews.definition import Definition
from core.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from core.flows import Batch, Entry, Flow, Head
from core.flows.events import Event
from core.flows.log import FINAL_TYPES
from core.identity import FLOWS_APPROVE, FLOWS_READ, FLOWS_WRITE, Principal
from core.json_text import compact
from functions._agui import run_input
from functions._agui.conversation import Conversation
from functions._agui.interrupts import parse_id, review_answer
from functions._agui.run_events import RunEvents
from functions._agui.run_input import ResumeEntry, RunInput
from functions._http import apps, auth, typed_apps
from functions._http.under_way import under_way
from functions._streams import sse
from functions._streams.sse_stream import NOT_BEGUN

logger = logging.getLogger(__name__)

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Source:
    """What a run's stream is made of: a flow, from its first event on or from a known state on.

    `known` is that state, None for a new flow. `answered` is the review that this run answers.
    """

    tenant: str
    flow: str
    known: Flow | None = None
    answered: str | None = None

    def ends_at(self, state: Flow) -> bool:
        """Tell whether a run of this flow ends in this state: it has ended, or asks something new."""
        asks = state.question is not None and state.question["review"] != self.answered
        return asks or state.head.status.terminal


@router.post("/v1/agui/{crew}")
async def crew_agui(
    crew: str,
    request: Request,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_WRITE))],
    _: Annotated[Principal, Depends(auth.scope(FLOWS_READ))],
    run: Annotated[RunInput, Depends(run_input.read)],
) -> Response:
    """Launch the crew, unless this run did before, or answer it; then send the run's events."""
    async with AsyncExitStack() as held:
        held.enter_context(under_way.as_stream(who))
        if run.resume:
            source = await _resume(who, crew, run.resume[0])
        else:
            source = await _launch(who, crew, run)
        return sse.EventStream(_frames(request, source, run), held.pop_all())


async def _launch(who: Principal, crew: str, run: RunInput) -> Source:
    """Begin a run, or find its flow if it was begun before. Raises as `Launcher.launch`."""
    key, launcher = flow_ids.run_key(run.thread_id, run.run_id), bootstrap.launcher()
    try:
        asked = _launch_request(crew, run, bootstrap.registry().get(crew))
        flow, is_new = await launcher.launch(who.tenant, asked, key, who.subject)
    except (InvalidInputError, NotFoundError, ConflictError):
        # What its text stands for is the crew's to say, which may be another now, or gone.
        if (known := await _begun_before(who.tenant, crew, run, key)) is None:
            raise
        return Source(who.tenant, known.id, known)
    known = None if is_new else await bootstrap.flow_log().snapshot(who.tenant, flow)
    return Source(who.tenant, flow, known)


def _launch_request(crew: str, run: RunInput, definition: Definition) -> launch.LaunchRequest:
    return launch.LaunchRequest(crew, run_input.crew_inputs(run, definition))


async def _begun_before(tenant: str, crew: str, run: RunInput, key: str) -> Flow | None:
    """Return the flow that this very run began, read as its crew was then; None if there is none.

    Raises ConflictError if another request began it.
    """
    launcher = bootstrap.launcher()
    flow = flow_ids.of_launch(tenant, key, launcher.new_id)
    try:
        known = await bootstrap.ledger().state(tenant, flow, fresh=True)
        asked = _launch_request(crew, run, Definition.from_stored(known.definition))
    except (InvalidInputError, NotFoundError):
        return None
    return known if await launcher.has_made(tenant, flow, asked) else None


async def _resume(who: Principal, crew: str, entry: ResumeEntry) -> Source:
    """Answer the flow that the interrupt names. Sent again, the same answer changes nothing.

    A `cancelled` entry cancels the flow if it still waits for this answer. If somebody else gave
    one, the flow is left alone and its run is shown, as that entry is an AG-UI client's only way
    past an interrupt. Raises ConflictError where another answer was given, ForbiddenError, NotFoundError.
    """
    flow, review = parse_id(entry.interrupt_id)
    known = await bootstrap.ledger().state(who.tenant, flow)
    if known.crew != crew:
        raise NotFoundError("no such flow of this crew")
    if entry.status == "resolved":
        auth.require(who, FLOWS_APPROVE)
        answer = review_answer(entry.payload)
        await bootstrap.flow_control().resume(
            tenant=who.tenant,
            flow=flow,
            approve=answer.approve,
            feedback=answer.feedback,
            review=review,
            subject=who.subject,
        )
    else:
        await bootstrap.flow_control().cancel(
            tenant=who.tenant, flow=flow, review=review, subject=who.subject
        )
    return Source(who.tenant, flow, known, review)


async def _frames(request: Request, source: Source, run: RunInput) -> AsyncGenerator[bytes]:
    """Yield the run as frames, which end with RUN_FINISHED or RUN_ERROR whatever happens."""
    left = apps.seconds_left(request.scope, bootstrap.settings().agui_seconds)
    translator, cursor, ended = RunEvents(run), NOT_BEGUN, False
    try:
        async with aclosing(_run(source, translator, left)) as run_events:
            async for cursor, event in run_events:
                if event is None:
                    yield sse.HEARTBEAT
                    continue
                ended = is_final(event)
                yield sse.event(compact(event), cursor)
    except (UnavailableError, NotFoundError) as error:
        logger.info("a run ended early: %s", error, extra={"flow": source.flow})
    for event in [] if ended else translator.stream_over():
        yield sse.event(compact(event), cursor)


async def _run(
    source: Source, translator: RunEvents, left: Callable[[], float]
) -> AsyncGenerator[tuple[str, Event | None]]:
    """Yield (cursor, event) of the run until it ends or the time is up; None in silence.

    Up to the state that is known already the log is read only, then it is told at once.
    """
    known, conversation = source.known, Conversation()
    async with aclosing(_log(source, left)) as log:
        async for cursor, item in log:
            match item:
                case None:
                    yield cursor, None
                    continue
                case Flow():  # the log's beginning is gone, and with it what was said
                    told, known = _caught_up(source, translator, item, None), None
                case Entry() if known is not None:
                    conversation.apply(json.loads(item.json))
                    if item.number < known.head.last_event:
                        continue
                    told, known = _caught_up(source, translator, known, conversation), None
                case Entry():
                    told = await _live(source, translator, item)
            for event in told:
                yield cursor, event
            if told and is_final(told[-1]):
                return


def _caught_up(
    source: Source, translator: RunEvents, state: Flow, conversation: Conversation | None
) -> list[Event]:
    told = translator.catch_up(state, conversation)
    return [*told, *translator.end(state)] if source.ends_at(state) else told


async def _live(source: Source, translator: RunEvents, entry: Entry) -> list[Event]:
    """Return what the client is sent for an event; the run ends where the flow waits now."""
    event = json.loads(entry.json)
    if event["type"] != "CUSTOM" or event["name"] != "waiting":
        return translator.translate(event)
    waiting = event["value"]
    state = await bootstrap.flow_log().snapshot(source.tenant, source.flow)
    was_answered = state.head.last_event > entry.number and state.question is None
    if was_answered or waiting["review"] == source.answered:
        return translator.translate(event)
    return translator.interrupt(source.flow, waiting, state.deadline_ms)


def is_final(event: Event) -> bool:
    """Tell whether this event ends a run."""
    return event["type"] in FINAL_TYPES


async def _log(
    source: Source, left: Callable[[], float]
) -> AsyncGenerator[tuple[str, Entry | Flow | None]]:
    """Yield (cursor, entry) from the first on until the time is up; None in silence.

    A Flow comes only where the log does not reach back far enough. AG-UI clients refuse a stream
    that skips events: who was too slow for the hub joins it again and reads what it missed.
    """
    cursor: str | None = None
    is_behind = True
    while is_behind:
        is_behind, is_joining = False, True
        async with (
            bootstrap.hub().subscribe(source.tenant, source.flow, cursor) as subscriber,
            aclosing(subscriber.items(left)) as items,
        ):
            async for item in items:
                if is_behind := isinstance(item, Flow) and not is_joining:
                    break
                is_joining = False
                for at, each in _each(subscriber.head, item):
                    cursor = at or cursor
                    yield cursor or NOT_BEGUN, each


def _each(head: Head, item: Batch | Flow) -> list[tuple[str, Entry | Flow | None]]:
    if isinstance(item, Flow):
        return [(item.head.cursor(item.head.snapshot_event), item)]
    return [(head.cursor(entry.number), entry) for entry in item] or [("", None)]


app = typed_apps.fastapi("crew_agui", router)
