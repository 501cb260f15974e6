"""The edge of every app: the bounds of a request's head, base paths, health, and safe headers.

A head is refused by its length before anything looks into it: to take a query apart costs 9 us a
parameter, and a ticket in it is read before anybody knows who asks.

An app behind a path of its own (a stage of API Gateway, a base path of a custom domain, a proxy) is
asked for /prod/v1/flows where its route is /v1/flows, and so are those whom it gives links. Stages are
told by their events; for all else there is CREWLINE_BASE_PATH.
"""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import bootstrap, logs
from core.config import SettingsError
from functions._http import problems
from functions._http.health import Needs, Report, health
from functions._process import request_log

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")  # of all routes, and so of pages
TARGET_BYTES = 8192  # of path and query together; a ticket has at most 2,048
PARAMETERS = 64  # of a query; each costs a list, a tuple and two texts
HEADER_BYTES = 32 * 1024  # names and values; a token has at most 4,096
BASE = "crewline.base_path"  # in a scope: what was taken from the beginning of its path
BUFFERED_EVENT = "aws.event"  # in a scope: an event of API Gateway, on a host that buffers answers
STREAMED_EVENT = "crewline.event"  # and on one that streams them
HEALTH, HEALTHZ = "/health", "/healthz"
ROOTS = {"v1", "amp", "health", "healthz"}  # with which our routes begin
ALIVE = Report()
SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


def rebased(scope: Scope) -> Scope:
    """Return the scope of a request with its path as the routes have it."""
    if scope["type"] != "http" or BASE in scope:
        return scope
    path: str = scope["path"]
    for base in (_base_path(), _stage(scope, path)):
        if base and path.startswith(f"{base}/"):
            return {**scope, "path": path[len(base) :], BASE: base}
    taken_off = _taken_off(scope)
    return {**scope, BASE: taken_off} if taken_off else scope


def _base_path() -> str:
    """Return that of the settings; none while they cannot be used, which /healthz is to say."""
    try:
        return bootstrap.settings().base_path
    except SettingsError:
        return ""


def _stage(scope: Scope, path: str) -> str:
    """Return the path of a named stage that an HTTP API has left in the path.

    Custom domains may leave it out, so what follows it has to look like a route of ours.
    """
    _, stage, root, *_ = *path.split("/", 3), "", ""
    named = _gateway(scope).get("stage")
    return f"/{stage}" if stage and stage == named and root in ROOTS else ""


def _taken_off(scope: Scope) -> str:
    """Return the path of a named stage that a REST API has taken off the path already."""
    path: str = _event(scope).get("path") or ""
    asked: str = _gateway(scope).get("path") or ""
    return asked.removesuffix(path) if path and asked != path and asked.endswith(path) else ""


def _gateway(scope: Scope) -> dict[str, Any]:
    """Return what API Gateway tells of a request besides it; nothing on other hosts."""
    return _event(scope).get("requestContext", {})


def _event(scope: Scope) -> dict[str, Any]:
    """Return the event that a request came as on AWS Lambda; an empty one on other hosts."""
    return scope.get(BUFFERED_EVENT) or scope.get(STREAMED_EVENT) or {}


def link(request: Request, path: str) -> str:
    """Return a path as whoever sent this request has to ask for it."""
    return request.scope.get(BASE, "") + path


def has_long_target(scope: Scope) -> bool:
    """Tell whether path and query are longer than anything that a route here could need."""
    return len(scope["path"]) + len(scope["query_string"]) > TARGET_BYTES


def _refusal(scope: Scope) -> HTTPException | None:
    """Return what is wrong with the size of a request's head, if anything is."""
    if has_long_target(scope):
        return HTTPException(414, f"path and query may have at most {TARGET_BYTES} bytes")
    if scope["query_string"].count(b"&") >= PARAMETERS:
        return HTTPException(400, f"the query may have at most {PARAMETERS} parameters")
    headers, most = scope["headers"], request_log.MOST_HEADERS
    if len(headers) > most or sum(len(n) + len(v) for n, v in headers) > HEADER_BYTES:
        reason = f"there may be at most {most} headers, of at most {HEADER_BYTES} bytes in all"
        return HTTPException(431, reason)
    return None


class Edge:
    """ASGI: refuses long heads, takes base paths off, and answers to anybody how the function is.

    GET /health and /healthz are of any function, /healthz/{function} is of this one.
    """

    def __init__(self, app: ASGIApp, *, function: str, needs: Needs) -> None:
        self.app = app
        self._needs = needs
        self._own = {HEALTH, HEALTHZ, f"{HEALTHZ}/{function}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := _refusal(scope)):
            await problems.response(refusal)(scope, receive, send)
            return
        inner = rebased(scope)
        asked = inner["type"] == "http" and inner["method"] in {"GET", "HEAD"}
        if asked and inner["path"] in self._own:
            path = inner["path"]
            await _answer(ALIVE if path == HEALTH else await health.report(self._needs), send)
            return
        await self.app(inner, receive, send)


async def _answer(report: Report, send: Send) -> None:
    body = report.body
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": report.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class AnswerHeaders:
    """ASGI: no answer is sniffed, framed or referred from, or stored unless it says so.

    None to HEAD has a body. Each names its request by `x-request-id`, but for a 304 to somebody who
    sent none: its few bytes are all that most polls cost. Lines that are logged meanwhile have it too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        sent = request_log.sent_request_id(scope)
        request_id = sent or request_log.new_request_id(scope)

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                not_modified = message["status"] == HTTPStatus.NOT_MODIFIED
                if not not_modified:  # it has no body
                    headers += SAFE
                if sent or not not_modified:
                    headers.append((request_log.REQUEST_ID, request_id.encode()))
                if all(name.lower() != b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            elif scope.get("method") == "HEAD" and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        request_log.configure()
        with logs.context(request_id=request_id):
            return await self.app(scope, receive, safe)
