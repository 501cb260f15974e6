"""GET /v1/flows/{id}/events -- a flow as it happens, for an EventSource.

A stream is short-lived by design: it ends after a whole event, before the host would end it, and
the reader comes back with the id of the last event it saw. Where the host buffers answers, it ends
with its first batch or after a hold: the same words, as a long poll.
"""

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, events, follow
from core.errors import NotFoundError, UnavailableError
from core.flows import Batch, FlowLog, Head
from core.identity import FLOWS_READ, Principal
from functions import _app, _auth, _sse

log = logging.getLogger(__name__)

RETRY_MS = 1000
HOLD_SECONDS = 20.0  # under the 29 s that API Gateway waits


async def flow_events(request: Request, who: Principal) -> Response:
    """Answer with the events after the caller's cursor; 204 when there will be no more."""
    flow, flow_log = _app.flow_id(request), bootstrap.flow_log()
    try:
        start = await follow.start(flow_log, who.tenant, flow, _cursor(request))
    except UnavailableError as error:
        # Any status but 200 would end an EventSource for good.
        return _sse.EventStream(_come_back(error.retry_after_seconds * 1000))
    if start.ended:
        return Response(status_code=204)
    if request.method == "HEAD":
        return Response(headers=_sse.HEADERS, media_type=_sse.MEDIA_TYPE)
    return _sse.EventStream(_frames(request, flow_log, who.tenant, flow, start))


def _cursor(request: Request) -> str | None:
    """Return where the caller has come to; the header is newer than the query it was opened with."""
    header = request.headers.get("last-event-id")
    return header or request.query_params.get("lastEventId") or None


def _retry(milliseconds: int) -> bytes:
    """Return the wait, with as much again at most, so that readers cut together part."""
    return _sse.retry(milliseconds + random.randrange(milliseconds))  # noqa: S311 -- no secret


async def _come_back(milliseconds: int) -> AsyncGenerator[bytes]:
    yield _retry(milliseconds)


async def _frames(
    request: Request, flow_log: FlowLog, tenant: str, flow: str, start: follow.Start
) -> AsyncGenerator[bytes]:
    """Yield the whole stream; a store that stops answering ends it, between two events."""
    buffered = _app.buffers(request.scope)
    yield _retry(RETRY_MS)
    if start.snapshot is not None:
        state = events.state_snapshot(start.snapshot.public())
        yield _sse.event(events.encode(state), start.head.cursor())
        if buffered or start.head.status.terminal:
            return
    life = HOLD_SECONDS if buffered else bootstrap.settings().stream_seconds
    left = _app.seconds_left(request.scope, life)
    following = follow.follow(flow_log, tenant, flow, start.number, left)
    try:
        async with aclosing(following) as batches:
            async for batch in batches:
                yield _batch(start.head, batch)
                if buffered and batch:
                    return
    except (UnavailableError, NotFoundError) as error:
        log.info("stream of flow %s ended early: %s", flow, error)


def _batch(head: Head, batch: Batch) -> bytes:
    frames = [_sse.event(entry.event, head.cursor(entry.number)) for entry in batch]
    return b"".join(frames) or _sse.HEARTBEAT


routes = [_auth.GuardedRoute("/v1/flows/{flow}/events", flow_events, _auth.scope(FLOWS_READ))]
app = _app.starlette(routes)
handler = _app.on_lambda(app)
