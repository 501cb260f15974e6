"""GET /v1/flows and /v1/flows/{id} -- the state of flows, made to be polled.

A poll by somebody who is up to date reads only the head of the flow, one command, and gets an
empty 304; the state is read when it has changed, and the ETag is that of the state which is sent.
"""

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, events
from core.flows import Head, Status, Summary
from core.identity import FLOWS_READ, Principal
from functions import _app, _auth

PAGE = 20
PAGE_LIMIT = 100
LATEST_US = 2**53
PRIVATE = {"cache-control": "private, no-cache", "vary": "Authorization"}
POLL_SECONDS = {Status.QUEUED: 5, Status.RUNNING: 2, Status.WAITING: 30}  # not once it has ended


async def flow_status(request: Request, who: Principal) -> Response:
    """Answer with the state of a flow, or with 304 if the caller has it."""
    flow, log = _app.flow_id(request), bootstrap.flow_log()
    if known := ",".join(request.headers.getlist("if-none-match")):
        head = await log.head(who.tenant, flow)
        if matches(known, head.etag):
            return Response(status_code=304, headers=_headers(head))
    state = await log.snapshot(who.tenant, flow)
    return _json(state.public(), _headers(state.head))


def matches(if_none_match: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110, 13.1.2 asks; what is no entity-tag matches nothing.

    None of our tags has a comma, so a list may be split at its commas.
    """
    if if_none_match.strip() == "*":
        return True
    listed = {member.strip(" \t") for member in if_none_match.split(",")}
    return etag in listed or f"W/{etag}" in listed


def _headers(head: Head) -> dict[str, str]:
    """Return the headers of a state, the same on 200 and 304."""
    headers = {**PRIVATE, "etag": head.etag}
    if head.status in POLL_SECONDS:
        headers["retry-after"] = str(POLL_SECONDS[head.status])
    return headers


async def flow_list(request: Request, who: Principal) -> Response:
    """Answer with the tenant's flows, newest first, and the path of the next page."""
    limit = _app.whole_number(request, "limit", 1, PAGE_LIMIT) or PAGE
    before_us = _app.whole_number(request, "before", 0, LATEST_US)
    flows = await bootstrap.flow_log().recent(who.tenant, limit, before_us)
    body = {"flows": [flow.public() for flow in flows], "next": _next(flows, limit)}
    return _json(body, PRIVATE)


def _next(flows: list[Summary], limit: int) -> str | None:
    if len(flows) < limit:
        return None
    return f"/v1/flows?limit={limit}&before={flows[-1].created_us}"


def _json(body: events.Event, headers: dict[str, str]) -> Response:
    return Response(events.encode(body), headers=headers, media_type="application/json")


_reads = _auth.scope(FLOWS_READ)
routes = [
    _auth.GuardedRoute("/v1/flows", flow_list, _reads),
    _auth.GuardedRoute("/v1/flows/{flow}", flow_status, _reads),
]
app = _app.starlette(routes)
handler = _app.on_lambda(app)
