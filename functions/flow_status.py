"""GET /v1/flows and /v1/flows/{id} -- the state of flows, made to be polled.

A poll by somebody who is up to date reads only the head of the flow, one command, and gets an
empty 304; the state is read when it has changed, and the ETag is that of the state which is sent.
With `Prefer: wait=N` that 304 is held back, in case the state changes meanwhile.

Nine of ten polls find nothing new, so these are answered in front of the framework, for half of
the time (docs/performance.md): the shortcut decides nothing that the routes would not.
"""

import re
import time
from collections.abc import AsyncGenerator
from typing import Any, BinaryIO

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core import bootstrap, identity
from core.blobs import BlobRef, in_thread
from core.crews.step_ids import REVIEW
from core.errors import NotFoundError, NothingThereError
from core.flows import Batch, Flow, Head, Status, Summary, events
from core.flows.state import SCHEMA
from core.flows.subscription import snapshot_at
from core.flows.values import draft_blob, draft_ref
from core.identity import FLOWS_READ, Principal
from core.json_text import compact
from functions._http import apps, auth, compression, cors, edge, polling
from functions._http.under_way import under_way
from functions._process import request_log

PAGE = 20
PAGE_LIMIT = 100
LAST = 2**53
POLL = re.compile(rf"/v1/flows/({identity.ID.pattern})")
POLLERS = {b"authorization", b"if-none-match"}  # what the shortcut needs, and
BEYOND = {b"origin", b"prefer"}  # what it leaves to the routes, as it does longer heads
PLAIN_HEADERS, PLAIN_BYTES = 64, 8 * 1024  # a browser sends 20, of 2 kB with its token
CHUNK_BYTES = 256 * 1024


async def flow_status(request: Request, who: Principal) -> Response:
    """Answer with the state of a flow, or with 304 if the caller has it and it does not change."""
    flow, log = apps.flow_id(request), bootstrap.flow_log()
    known = ",".join(request.headers.getlist("if-none-match"))
    if not known:
        return _state(await log.snapshot(who.tenant, flow))
    head = getattr(request.state, "head", None) or await log.head(who.tenant, flow)
    if (tag := head.known_as(known)) is None:
        state = await log.snapshot(who.tenant, flow)
        if (tag := state.head.known_as(known)) is None:
            return _state(state)
        head = state.head  # this replica is behind the one that told the head
    with polling.long_poll(request, who) as poll:
        changed = (
            await _change(request, who.tenant, flow, head, tag, poll) if poll.seconds else None
        )
    if changed is None:
        return Response(status_code=304, headers=_headers(head, tag) | poll.headers)
    return _state(changed, poll)


async def _change(
    request: Request, tenant: str, flow: str, head: Head, tag: str, poll: polling.LongPoll
) -> Flow | None:
    """Return the state if it becomes newer than that of the tag while the answer is held."""
    if head.status.terminal:
        return None

    async def changed(item: Batch | Flow) -> Flow | None:
        if isinstance(item, Flow):
            state = item
        elif any(entry.changes_state for entry in item):
            state = await snapshot_at(bootstrap.flow_log(), tenant, flow, item[-1].number)
        else:
            return None
        return state if state.head.known_as(tag) is None else None

    return await polling.first_answer(request, tenant, flow, head.cursor(), poll, changed)


def _state(state: Flow, poll: polling.LongPoll = polling.NO_LONG_POLL) -> Response:
    return _json(state.public(), _headers(state.head) | poll.headers)


def _headers(head: Head, tag: str | None = None) -> dict[str, str]:
    """Return the headers of a state, the same on 200 and 304, where `tag` is what the caller has."""
    return {**apps.PRIVATE, "etag": tag or head.etag, **polling.retry_after_header(head)}


async def flow_output(request: Request, who: Principal) -> Response:
    """Answer with the output of a flow, or the draft of a `review`, however large it is.

    Neither changes any more: who has it gets a 304.
    """
    apps.refuse_unknown_parameters(request, "review")
    flow, review = apps.flow_id(request), request.query_params.get("review")
    state = await bootstrap.flow_log().snapshot(who.tenant, flow)
    value = _draft(state, review) if review is not None else _output(state)
    headers = apps.PRIVATE | {"etag": f'"{SCHEMA}.{state.head.incarnation}.{review or "output"}"'}
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    if not isinstance(value, BlobRef):
        return _json(value, headers)
    stream = await in_thread(bootstrap.blobs().open, who.tenant, value.blob)
    headers |= {"content-length": str(value.bytes)} if value.bytes else {}
    return StreamingResponse(_chunks(stream), headers=headers, media_type="application/json")


def _output(state: Flow) -> Any:
    if state.head.status is not Status.SUCCEEDED:
        yet = "" if state.head.status.terminal else " yet"
        raise NothingThereError(f"the flow is {state.head.status} and has no output{yet}")
    return state.output


def _draft(state: Flow, review: str) -> Any:
    """Return the draft that the flow waits with, or what may stand for that of an earlier wait."""
    if state.question is not None and state.question["review"] == review:
        return draft_ref(state) or state.question["output"]
    if not REVIEW.fullmatch(review):
        raise NotFoundError("no such review")
    return BlobRef(draft_blob(state.id, state.head.incarnation, review), 0)


def _has(request: Request, tag: str) -> bool:
    """Tell whether the caller sent this tag; compared weakly (RFC 9110, 13.1.2)."""
    sent = ",".join(request.headers.getlist("if-none-match"))
    return tag in {member.strip(" \t").removeprefix("W/") for member in sent.split(",")}


async def _chunks(stream: BinaryIO) -> AsyncGenerator[bytes]:
    with stream:
        while chunk := await in_thread(stream.read, CHUNK_BYTES):
            yield chunk


async def flow_list(request: Request, who: Principal) -> Response:
    """Answer with the tenant's flows, newest first, and the path of the next page."""
    apps.refuse_unknown_parameters(request, "limit", "before")
    limit = apps.whole_number(request, "limit", 1, PAGE_LIMIT) or PAGE
    before = apps.whole_number(request, "before", 0, LAST)
    flows = await bootstrap.flow_log().recent(who.tenant, limit, before)
    body = {"flows": [flow.public() for flow in flows], "next": _next(request, flows, limit)}
    return _json(body, apps.PRIVATE)


def _next(request: Request, flows: list[Summary], limit: int) -> str | None:
    if len(flows) < limit:
        return None
    return edge.link(request, f"/v1/flows?limit={limit}&before={flows[-1].order}")


def _json(body: events.Event, headers: dict[str, str]) -> Response:
    return Response(compact(body), headers=headers, media_type="application/json")


class NotModifiedShortcut:
    """ASGI: answers 304 to a plain poll by somebody who is up to date.

    It stands in front of what apps have around their routes, and does of that what a 304 needs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = edge.rebased(scope)
        poll = _plain_poll(scope)
        try:
            unchanged = await _unchanged(scope, *poll) if poll else None
        except Exception as error:  # noqa: BLE001 -- as a route's: it is logged if nobody expects it
            await apps.failed(error)(scope, receive, send)
            return
        if unchanged is None:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 304, "headers": unchanged})
        await send({"type": "http.response.body"})


def _plain_poll(scope: Scope) -> tuple[str, dict[bytes, bytes]] | None:
    """Return flow and headers of a poll that needs nothing but a tag compared."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    match, lines = POLL.fullmatch(scope["path"]), scope["headers"]
    if match is None or len(lines) > PLAIN_HEADERS:
        return None
    headers = dict[bytes, bytes](lines)
    once = len(headers) == len(lines)
    if not once or not headers.keys() >= POLLERS or not headers.keys().isdisjoint(BEYOND):
        return None
    return (match[1], headers) if sum(map(len, headers.values())) <= PLAIN_BYTES else None


async def _unchanged(
    scope: Scope, flow: str, headers: dict[bytes, bytes]
) -> list[tuple[bytes, bytes]] | None:
    """Return the headers of a 304 if the caller has the state; else leave the head to the route."""
    token = auth.bearer([headers[b"authorization"]])
    who = await auth.verified(token, int(time.time()))
    if FLOWS_READ not in who.scopes:
        return None
    under_way.begin(who)
    try:
        head = await bootstrap.flow_log().head(who.tenant, flow)
    finally:
        under_way.end(who)
    if tag := head.known_as(headers[b"if-none-match"].decode("latin-1")):
        return _not_modified(head, tag, headers)
    scope.setdefault("state", {})["head"] = head
    return None


def _not_modified(head: Head, tag: str, asked: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a 304, as all that is around the routes would make them."""
    headers = {name.encode(): value.encode() for name, value in _headers(head, tag).items()}
    coding = compression.chosen(asked.get(b"accept-encoding", b"").decode("latin-1"))
    compression.negotiated(headers, weak=coding.name is not None)
    cors.vary_on_origin(headers)
    request_id = asked.get(request_log.REQUEST_ID)
    if request_id and request_log.is_well_formed(request_id):
        headers[request_log.REQUEST_ID] = request_id
    return list(headers.items())


_reads = auth.scope(FLOWS_READ)
routes = [
    auth.GuardedRoute("/v1/flows", flow_list, _reads),
    auth.GuardedRoute("/v1/flows/{flow}", flow_status, _reads),
    auth.GuardedRoute("/v1/flows/{flow}/output", flow_output, _reads),
]
app = apps.starlette("flow_status", routes, Middleware(NotModifiedShortcut))
handler = apps.on_lambda(app)
