"""POST /v1/agui/{crew} -- a flow as an AG-UI run, so that an AG-UI front end works unchanged.

The body is AG-UI's RunAgentInput (https://docs.ag-ui.com/sdk/js/core/types). A run is a flow: the
same `runId` in the same thread names the same flow, whose events are told from the start each time.
A client that leaves does not end it. What the crew works on is taken from, in this order,

1. `forwardedProps.inputs`, an object,
2. `state.inputs`, likewise,
3. the text of the last user message, for a crew that requires one input only, a string.

Tools, context and all else that a client sends are ignored: a crew has its own. Only hosts that
stream can serve this; on the others POST /v1/flows and a poll do.
"""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap
from core.crews import launch
from core.crews.definition import Definition
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.flows import Batch, Flow, Head, Status, events
from core.flows.events import Event
from core.identity import FLOWS_READ, FLOWS_WRITE, Principal
from functions import _app, _auth, _models, _sse, _streams

logger = logging.getLogger(__name__)

REQUEST_BYTES = 1024**2  # a client sends the whole conversation each time
SILENCE = ("", "")
NOT_BEGUN = "-"
OVER = "the stream is over, the flow goes on: send this run again to see it from the beginning"

router = APIRouter()


class _Read(BaseModel):
    """What is read of an object of the protocol; a later version may have more."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, frozen=True)


class Message(_Read):
    """One of the conversation. `content` is a text, or a list of parts."""

    role: str
    content: Any = None


class Run(_Read):
    """What of RunAgentInput matters to a crew."""

    thread_id: Annotated[str, Field(min_length=1, max_length=256)]
    run_id: Annotated[str, Field(min_length=1, max_length=256)]
    messages: _models.List[Message] = []
    state: Any = None
    forwarded_props: Any = None
    resume: list[Any] | None = None

    @property
    def ids(self) -> dict[str, str]:
        """The client's names, for events."""
        return {"threadId": self.thread_id, "runId": self.run_id}


async def run_input(request: Request) -> Run:
    """Read what is to be run. Raises InvalidInputError, or HTTPException as `read_json`."""
    if _app.buffers(request.scope):
        raise HTTPException(501, "this host does not stream: POST /v1/flows and poll the flow")
    run = await _models.read(request, REQUEST_BYTES, Run, "the body is not AG-UI's RunAgentInput")
    if run.resume:
        reason = "a run cannot be resumed here; start another one"
        raise InvalidInputError("the run cannot begin", {"/resume": reason})
    return run


@router.post("/v1/agui/{crew}")
async def crew_agui(
    crew: str,
    request: Request,
    who: Annotated[Principal, Depends(_auth.scope(FLOWS_WRITE))],
    _: Annotated[Principal, Depends(_auth.scope(FLOWS_READ))],
    run: Annotated[Run, Depends(run_input)],
) -> Response:
    """Launch the crew, unless this run did before, and answer with the flow's events."""
    registry = bootstrap.registry()
    inputs = inputs_of(run, registry.get(crew))
    async with AsyncExitStack() as held:
        held.enter_context(_streams.stream_limiter.slot(who))
        flow, _new = await bootstrap.launcher().launch(
            who.tenant,
            launch.LaunchRequest(crew, inputs),
            launch.run_key(run.thread_id, run.run_id),
        )
        return _sse.EventStream(_frames(request, who.tenant, flow, run), held.pop_all())


def inputs_of(run: Run, crew: Definition) -> dict[str, Any]:
    """Return what the crew is to work on. Raises InvalidInputError that says where to put it."""
    for pointer, given in (("/forwardedProps", run.forwarded_props), ("/state", run.state)):
        if isinstance(given, dict) and "inputs" in given:
            return _object(f"{pointer}/inputs", cast("dict[str, Any]", given)["inputs"])
    required: list[str] = crew.inputs.get("required", [])
    text = _last_words(run.messages)
    if text and len(required) == 1 and _is_text(crew, required[0]):
        return {required[0]: text}
    if not required:
        return {}
    reason = f"must be an object with: {', '.join(required)}"
    raise InvalidInputError(
        f"the run does not say what {crew.name} works on", {"/forwardedProps/inputs": reason}
    )


def _object(pointer: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError("the inputs are wrong", {pointer: "must be an object"})
    return cast("dict[str, Any]", value)


def _is_text(crew: Definition, name: str) -> bool:
    return crew.inputs.get("properties", {}).get(name, {}).get("type") == "string"


def _last_words(messages: list[Message]) -> str:
    """Return the text of the last user message; "" if there is none."""
    content = next((m.content for m in reversed(messages) if m.role == "user"), "")
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


async def _frames(request: Request, tenant: str, flow: str, run: Run) -> AsyncGenerator[bytes]:
    """Yield the run as frames, which end with RUN_FINISHED or RUN_ERROR whatever happens."""
    left = _app.seconds_left(request.scope, _app.answer_seconds(request.scope))
    cursor = NOT_BEGUN
    try:
        async with aclosing(_log(tenant, flow, left)) as log:
            async for at, event in log:
                if not event:
                    yield _sse.HEARTBEAT
                    continue
                cursor, waits = at, is_waiting(event) and await _waits(tenant, flow)
                yield _sse.event(translated(event, run, cursor, waits=waits), cursor)
                if waits or events.is_final(event):
                    return
    except (UnavailableError, NotFoundError) as error:
        logger.info("the run of flow %s ended early: %s", flow, error)
    (over,) = events.run_error(OVER, "stream_over")
    yield _sse.event(translated(events.encode(over), run, cursor, waits=False), cursor)


async def _waits(tenant: str, flow: str) -> bool:
    """Tell whether the flow still waits, or was answered before this was read."""
    head = await bootstrap.flow_log().head(tenant, flow)
    return head.status is Status.WAITING


async def _log(
    tenant: str, flow: str, left: Callable[[], float]
) -> AsyncGenerator[tuple[str, str]]:
    """Yield (cursor, event) from the beginning, SILENCE now and then, until the time is up.

    AG-UI clients refuse a stream that skips from one event to the state after some more. So who
    was too slow for the hub joins it again, and reads from the log what it missed.
    """
    cursor: str | None = None
    skipped = True
    while skipped:
        skipped, joining = False, True
        async with (
            bootstrap.hub().subscribe(tenant, flow, cursor) as subscriber,
            aclosing(subscriber.items(left)) as items,
        ):
            async for item in items:
                if skipped := isinstance(item, Flow) and not joining:
                    break
                joining = False
                for at, event in told(subscriber.head, item, first=cursor is None):
                    cursor = at or cursor
                    yield at, event


def told(head: Head, item: Batch | Flow, *, first: bool) -> list[tuple[str, str]]:
    """Return each event of an item after its cursor; a log whose beginning is gone is given one."""
    if not isinstance(item, Flow):
        return [(head.cursor(entry.number), entry.event) for entry in item] or [SILENCE]
    story = [events.state_snapshot(item.public())]
    if first:
        story = [*events.run_started(item.id), *story, *_end(item)]
    return [(item.head.cursor(), events.encode(event)) for event in story]


def _end(flow: Flow) -> list[Event]:
    """Return the last event of a flow that has ended."""
    if not flow.head.status.terminal:
        return []
    if flow.head.status is Status.SUCCEEDED:
        return events.run_finished(flow.id, flow.output)
    return events.run_error(flow.error or flow.head.status, flow.head.status)


def is_waiting(event: str) -> bool:
    """Tell whether this encoded event says that the flow waits for somebody."""
    return event.startswith('{"type":"CUSTOM","name":"waiting"')


def translated(event: str, run: Run, cursor: str, *, waits: bool) -> str:
    """Return an event of the log as one of the client's run; most are the same.

    The flow still `waits` at a waiting event: then AG-UI's run ends here, with an interrupt.
    """
    if waits:
        value = json.loads(event)["value"]
        return events.encode(_interrupted(run, value, cursor))
    if event.startswith('{"type":"RUN_'):
        return events.encode(json.loads(event) | run.ids)
    return event


def _interrupted(run: Run, value: Any, cursor: str) -> Event:
    """Return the end of a run that waits. What is waited for is the interrupt's metadata."""
    asked = cast("dict[str, Any]", value) if isinstance(value, dict) else {"reason": value}
    interrupt = {
        "id": str(asked.get("review", cursor)),
        "reason": str(asked.get("reason", "waiting")),
        "metadata": asked,
    }
    if message := asked.get("message"):
        interrupt["message"] = str(message)
    outcome = {"type": "interrupt", "interrupts": [interrupt]}
    return {"type": "RUN_FINISHED", **run.ids, "outcome": outcome}


app = _app.fastapi(router)
