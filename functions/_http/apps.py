"""Apps: what every HTTP function has around its routes, on every host.

From the outside in: safe headers, bounds, base path and health, CORS, compression, problems, authentication,
routing. Nothing is read or connected when an app is built, and Mangum is imported by the first
Lambda event.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from core import bootstrap, complaints, identity
from core.errors import InvalidInputError, NotFoundError, NothingThereError
from functions._http import auth, compression, cors, edge, problems
from functions._process import event_loop

PRIVATE = {"cache-control": "private, no-cache", "vary": "Authorization"}  # of what a tenant has
MARGIN_SECONDS = 2.0  # of the host's time, left to finish an answer in
HOLD_SECONDS = 20.0  # of an answer that is buffered: under the 29 s that API Gateway waits
DIGITS = re.compile(r"[0-9]{1,16}")
TEXT = ["text/", "application/json", "application/problem+json"]  # the rest is base64 on Lambda
EMPTY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
LAMBDA_BYTES = 6 * 1024**2  # of what a function returns, as JSON; of more API Gateway makes a 502
TOO_LARGE = "the answer has more than the 6 MB that this host hands on; ask a host that streams"
ESCAPED_BYTES = 6  # that one character can take in JSON


ANSWER_HEADERS = Middleware(edge.AnswerHeaders)
MIDDLEWARE = [
    Middleware(cors.CrossOrigin),
    Middleware(compression.Compressed),
    Middleware(problems.Problems),
    Middleware(auth.Authenticated),
]


async def problem_of(request: Request, error: Exception) -> Response:
    """Return the problem of an error that a route raised."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error = HTTPException(405, headers={"allow": ", ".join(_methods(request))})
    return problems.response(error)


def _methods(request: Request) -> Iterator[str]:
    """Yield the methods of a path, whichever of the app's routes have them; an error names one route's."""
    routes: Sequence[BaseRoute] = request.app.routes
    for method in edge.METHODS:
        asked = {**request.scope, "method": method}
        if any(route.matches(asked)[0] == Match.FULL for route in routes):
            yield method


def around(function: str, *needs: Callable[[], object]) -> list[Middleware]:
    """Return what stands around the routes of a function, which needs `needs` beside the keys of tokens."""
    of_function = Middleware(edge.Edge, function=function, needs=(bootstrap.keys, *needs))
    return [ANSWER_HEADERS, of_function, *MIDDLEWARE]


def starlette(
    function: str,
    routes: Sequence[auth.GuardedRoute],
    *shortcuts: Middleware,
    needs: Sequence[Callable[[], object]] = (),
) -> Starlette:
    """Return an app that starts fast, for the hot paths. Raises TypeError, see `require_guards`.

    `needs` make what the function needs of its settings beside the keys of tokens: /healthz tries them.
    A shortcut stands before all the rest. It answers what it can alike and quicker, also where that
    is an error (`failed`), and hands on what it cannot.
    """
    require_guards(routes)
    app = Starlette(
        routes=routes,
        middleware=[*shortcuts, *around(function, *needs)],
        exception_handlers={HTTPException: problem_of, Exception: problem_of},
    )
    app.router.redirect_slashes = False
    return app


def failed(error: Exception) -> ASGIApp:
    """Return an app that answers with the problem of this error, as if a route had raised it."""

    async def raising(*_: object) -> None:
        raise error

    return edge.AnswerHeaders(cors.CrossOrigin(problems.Problems(raising)))


def unguarded(
    function: str, routes: Sequence[BaseRoute], *needs: Callable[[], object]
) -> Starlette:
    """Return an app without tokens, for routes that know by other means who is asking."""
    of_function = Middleware(edge.Edge, function=function, needs=(bootstrap.settings, *needs))
    app = Starlette(
        routes=routes,
        middleware=[
            ANSWER_HEADERS,
            of_function,
            Middleware(problems.Problems),
        ],
        exception_handlers={HTTPException: problem_of, Exception: problem_of},
    )
    app.router.redirect_slashes = False
    return app


def require_guards(routes: Sequence[BaseRoute]) -> None:
    """Default deny: refuse to build an app in which a route names no scope, with TypeError."""
    for route in routes:
        if not auth.guards(route):
            raise TypeError(f"{route} names no scope")


def on_lambda(app: ASGIApp) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the app as a Lambda handler for API Gateway's events, of version 1 and 2.

    An answer that is larger than Lambda hands on is a problem that says so.
    """
    adapter = cache(lambda: _adapter(app))

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event_loop.current()  # Mangum runs the app in the loop that this thread has
        answer = adapter()(event, context)
        if not _fits(answer):
            answer = _adapter(failed(HTTPException(501, TOO_LARGE)))(event, context)
        if answer["statusCode"] in EMPTY:
            answer["headers"].pop("content-type", None)  # Mangum adds one
        return answer

    return handler


def _adapter(app: ASGIApp) -> Callable[[Any, Any], dict[str, Any]]:
    from mangum import Mangum

    # Its protocol names the three parameters, which no other server relies on.
    return Mangum(app, lifespan="off", text_mime_types=TEXT)  # pyright: ignore[reportArgumentType]


def _fits(answer: dict[str, Any]) -> bool:
    """Tell whether Lambda hands on what a handler returns."""
    if (
        ESCAPED_BYTES * len(answer["body"]) < LAMBDA_BYTES // 2
    ):  # its headers have at most a few kilobytes
        return True
    return len(json.dumps(answer)) <= LAMBDA_BYTES


def buffers(scope: Scope) -> bool:
    """Tell whether the host hands an answer on only when it is complete, as Mangum does."""
    return edge.BUFFERED_EVENT in scope


def answer_seconds(scope: Scope) -> float:
    """Return how long an answer may take on this host, if nothing else limits it."""
    return HOLD_SECONDS if buffers(scope) else bootstrap.settings().stream_seconds


def seconds_left(scope: Scope, at_most: float) -> Callable[[], float]:
    """Return a clock of what is left of `at_most` seconds, or of the host's time if that is less."""
    context = scope.get("aws.context")
    if context is not None:
        remaining = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        at_most = min(at_most, remaining)
    end = time.monotonic() + at_most
    return lambda: end - time.monotonic()


def flow_id(request: Request) -> str:
    """Return the path's flow. Raises NotFoundError."""
    flow: str = request.path_params["flow"]
    return possible_id(flow)


def possible_id(flow: str) -> str:
    """Return the id; one that no flow can have is not found, without a look."""
    if not identity.ID.fullmatch(flow):
        raise NotFoundError("no such flow")
    return flow


def tell_missing(found: Sequence[object]) -> None:
    """Raise NothingThereError that says which of several flows are not there, or another tenant's."""
    missing = [str(at) for at, one in enumerate(found, 1) if isinstance(one, NotFoundError)]
    if missing and len(found) > 1:
        raise NothingThereError(f"of the flows not there: number {', '.join(missing)}")


def whole_number(request: Request, name: str, low: int, high: int) -> int | None:
    """Return a parameter of the query, None if it is not there. Raises InvalidInputError."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not DIGITS.fullmatch(text) or not low <= int(text) <= high:
        reason = f"must be a whole number from {low} to {high}"
        raise InvalidInputError("a parameter is wrong", {f"/query/{name}": reason})
    return int(text)


def refuse_unknown_parameters(request: Request, *known: str) -> None:
    """Raise InvalidInputError that names what the query has besides these, and what it has twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    if twice := {name for name in names if name in known and names.count(name) > 1}:
        pointers = {f"/query/{name}": "is given more than once" for name in sorted(twice)}
        raise InvalidInputError("a parameter is wrong", pointers)
    if unknown := [name for name in request.query_params if name not in known]:
        reasons = (f"no such parameter; {complaints.choice(name, known)}" for name in unknown)
        pointers = (f"/query/{name}" for name in unknown)
        raise InvalidInputError("a parameter is wrong", zip(pointers, reasons, strict=True))
