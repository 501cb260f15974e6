"""GET /v1/flows/{id}/events, /v1/events -- flows as they happen: for an EventSource, or page by page.

POST /v1/flows/{id}/ticket, /v1/events/ticket -- a ticket for an EventSource, which sends no header.

One log, read two ways: as a stream of server-sent events (`functions._streams.sse_stream`), or as JSON, for
whoever would rather ask for what came after the last answer.
"""

import asyncio
import time
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, identity
from core.errors import InvalidInputError, NotFoundError
from core.flows import Batch, Flow, pages, tickets
from core.flows.pages import Page
from core.identity import FLOWS_READ, Principal
from core.json_text import compact
from functions._http import accept, apps, auth, bodies, edge, polling
from functions._streams import sse, sse_stream

TICKET_BYTES = 4096  # of a request for one


async def flow_events(request: Request, who: Principal) -> Response:
    """Answer with the events of a flow after the caller's cursor."""
    flow = apps.flow_id(request)
    if _wants_pages(request):
        return await _page(request, who, flow)
    cursor = _cursor(request) or await _after(request, who, flow)
    return await sse_stream.stream(request, who, {flow: cursor}, lambda _, event: event)


def _wants_pages(request: Request) -> bool:
    """Tell JSON from a stream; `after` alone asks for JSON, and a tie goes to it."""
    weights = accept.weights(",".join(request.headers.getlist("accept")))
    pages, stream = weights.get("application/json", 0), weights.get(sse.MEDIA_TYPE, 0)
    return pages >= stream if pages else not stream and "after" in request.query_params


def _cursor(request: Request) -> str | None:
    """Return where the caller has come to; the header is newer than the query it was opened with."""
    header = request.headers.get("last-event-id")
    return header or request.query_params.get("lastEventId") or None


async def _after(request: Request, who: Principal, flow: str) -> str | None:
    """Return the cursor that `after` means: itself, or an event's number in this incarnation."""
    after = request.query_params.get("after")
    if not after or not pages.NUMBER.fullmatch(after):
        return after or None
    head = await bootstrap.flow_log().head(who.tenant, flow)
    return head.cursor(int(after))


async def _page(request: Request, who: Principal, flow: str) -> Response:
    """Answer with the next page; with an empty one only when the hold that was asked for is over."""
    after = request.query_params.get("after") or "0"
    page = await pages.read_page(bootstrap.flow_log(), who.tenant, flow, after)
    with polling.long_poll(request, who) as poll:
        if page.empty and poll.seconds and not page.head.status.terminal:
            page = await _next_page(request, who.tenant, flow, page, poll)
    headers = polling.retry_after_header(page.head) | poll.headers
    return Response(_page_json(page), headers=headers, media_type="application/json")


async def _next_page(
    request: Request, tenant: str, flow: str, empty: Page, poll: polling.LongPoll
) -> Page:
    """Return what comes while the answer is held."""
    cursor = empty.cursor

    async def news(_: Batch | Flow) -> Page | None:
        page = await pages.read_page(bootstrap.flow_log(), tenant, flow, cursor, fresh=True)
        return None if page.empty else page

    return await polling.first_answer(request, tenant, flow, cursor, poll, news) or empty


def _page_json(page: Page) -> str:
    """Return the page as JSON, in which the log's own JSON stands as it is."""
    told = ",".join(entry.json for entry in page.entries)
    rest: dict[str, Any] = {
        "cursor": page.cursor,
        "status": page.head.status,
        "more": page.more,
    }
    if page.snapshot is not None:
        rest["snapshot"] = page.snapshot.public()
    return f'{{"events":[{told}],{compact(rest)[1:]}'


async def several_events(request: Request, who: Principal) -> Response:
    """Answer with the events of several flows over one connection, each saying whose it is."""
    flows = streamed_together(request)
    if "after" in request.query_params:
        reason = "not here: send Last-Event-ID, or `lastEventId` in the query"
        raise InvalidInputError("a parameter is wrong", {"/query/after": reason})
    return await sse_stream.stream(request, who, _cursors(flows, _cursor(request)), _with_flow)


def streamed_together(request: Request) -> list[str]:
    """Return the flows that are asked for. Raises InvalidInputError, NotFoundError."""
    listed = request.query_params.get("flows", "")
    return _checked(listed.split(",") if listed else [], "/query/flows")


def _checked(flows: Any, pointer: str) -> list[str]:
    """Return the flows if it is a list of names, none twice, and not too many."""
    names = cast("list[Any]", flows) if isinstance(flows, list) else []
    are_names = all(isinstance(name, str) for name in names)
    if not are_names or not 0 < len(names) == len(set(names)) <= tickets.FLOWS:
        reason = f"must be a list of 1 to {tickets.FLOWS} flows, none of them twice"
        raise InvalidInputError("name the flows", {pointer: reason})
    apps.tell_missing([identity.ID.fullmatch(name) or NotFoundError() for name in names])
    return [apps.possible_id(name) for name in names]


def _cursors(flows: list[str], composite: str | None) -> dict[str, str | None]:
    """Take a composite cursor apart; one of another length is of no use to any of the flows."""
    parts = [sse_stream.NOT_BEGUN] * len(flows) if composite is None else composite.split("~")
    if len(parts) != len(flows):
        parts = [""] * len(flows)
    begun = [None if part == sse_stream.NOT_BEGUN else part for part in parts]
    return dict(zip(flows, begun, strict=True))


def _with_flow(flow: str, event: str) -> str:
    return f'{{"flow":"{flow}","event":{event}}}'


async def flow_ticket(request: Request, who: Principal) -> Response:
    """Answer with a ticket for the events of one flow."""
    flow = apps.flow_id(request)
    return await _ticket(who, [flow], edge.link(request, f"/v1/flows/{flow}/events?"))


async def several_ticket(request: Request, who: Principal) -> Response:
    """Answer with a ticket for the events of several flows on one connection."""
    body = await bodies.read_json(request, TICKET_BYTES)
    if not isinstance(body, dict) or set(cast("dict[str, Any]", body)) != {"flows"}:
        raise InvalidInputError("the body must have the member `flows` and no other")
    flows = _checked(cast("dict[str, Any]", body)["flows"], "/flows")
    address = edge.link(request, f"/v1/events?flows={','.join(flows)}&")
    return await _ticket(who, flows, address)


async def _ticket(who: Principal, flows: list[str], address: str) -> Response:
    log = bootstrap.flow_log()
    heads = (log.head(who.tenant, flow) for flow in flows)
    found = await asyncio.gather(*heads, return_exceptions=True)
    apps.tell_missing(found)
    if error := next((one for one in found if isinstance(one, BaseException)), None):
        raise error
    ticket = tickets.issue(bootstrap.keys(), who, flows, int(time.time()))
    return JSONResponse(
        {
            "ticket": ticket,
            "expires_seconds": tickets.TTL_SECONDS,
            "url": f"{address}ticket={ticket}",
        },
        201,
    )


_reads = auth.scope(FLOWS_READ)
_streams_one = auth.scope(FLOWS_READ, lambda request: [apps.flow_id(request)])
_streams_several = auth.scope(FLOWS_READ, streamed_together)
routes = [
    auth.GuardedRoute("/v1/flows/{flow}/events", flow_events, _streams_one),
    auth.GuardedRoute("/v1/events", several_events, _streams_several),
    auth.GuardedRoute("/v1/flows/{flow}/ticket", flow_ticket, _reads, "POST"),
    auth.GuardedRoute("/v1/events/ticket", several_ticket, _reads, "POST"),
]
app = apps.starlette("flow_events", routes)
handler = apps.on_lambda(app)
