"""Who may do what: nobody, until a token and a scope say otherwise.

The middleware turns away every request without a good token, before there is any routing. A guard
lets an endpoint have the principal only if it holds the scope that the route names; an app with a
route that names none is not built at all (`functions._http.apps`).

In the place of a token, a read may bring a ticket (`core.flows.tickets`) in its query. No guard lets the
bearer of one pass but those of event streams, and only to the very flows that the ticket names.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core import bootstrap, identity, logs
from core.errors import ForbiddenError, UnauthenticatedError
from core.flows import tickets
from core.identity import Principal
from functions._http.under_way import under_way

TOKEN_CHARACTERS = 4096
BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1
Endpoint = Callable[[Request, Principal], Awaitable[Response]]
Flows = Callable[[Request], Sequence[str]]


class Authenticated:
    """ASGI: verifies what every request brings of itself, and counts it while it is answered.

    Raises UnauthenticatedError, TooManyRequestsError.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        who = await _principal(scope, int(time.time()))
        scope.setdefault("state", {})["principal"] = who
        logs.add(tenant=who.tenant)
        under_way.begin(who)
        try:
            await self.app(scope, receive, send)
        finally:
            under_way.end(who)


async def _principal(scope: Scope, now: int) -> Principal:
    """Return who brings a token or, without any, a ticket."""
    lines = [value for name, value in scope["headers"] if name == b"authorization"]
    if not lines and (ticket := _ticket(scope)):
        return tickets.verify(ticket, bootstrap.keys(), now)
    return await verified(bearer(lines), now)


async def verified(token: str, now: int) -> Principal:
    """Return who brings this token: one of ours, or of the OIDC issuer where there is one.

    Raises UnauthenticatedError; UnavailableError while the issuer's keys cannot be fetched.
    """
    issuer = bootstrap.issuer()
    if issuer is not None and issuer.is_meant(token):
        return await issuer.verify(token, now)
    return identity.verify(token, bootstrap.keys(), now)


def _ticket(scope: Scope) -> str | None:
    if scope["method"] not in {"GET", "HEAD"} or b"ticket=" not in scope["query_string"]:
        return None
    return QueryParams(scope["query_string"]).get("ticket")


def principal(scope: Scope) -> Principal | None:
    """Return who sent an authenticated request; None where nobody was asked for a token."""
    return scope.get("state", {}).get("principal")


def tenant(scope: Scope) -> str:
    """Return the tenant of an authenticated request; "" where nobody was asked for a token."""
    who = principal(scope)
    return who.tenant if who else ""


def bearer(lines: list[bytes]) -> str:
    """Return the token of the Authorization header. Raises UnauthenticatedError."""
    match = BEARER.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None or len(match[1]) > TOKEN_CHARACTERS:
        raise UnauthenticatedError("send one bearer token in the Authorization header")
    return match[1].decode("ascii")


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets those pass who hold a scope. With FastAPI: `Depends(scope(...))`.

    `streamed` tells which flows a request would stream; without it, no ticket opens anything.
    """

    scope: str
    streamed: Flows | None = None

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking. Raises ForbiddenError, UnauthenticatedError."""
        who: Principal = request.state.principal
        if who.flows is not None and not self._opens(who.flows, request):
            raise UnauthenticatedError("a ticket opens only the event streams it was made for")
        require(who, self.scope)
        return who

    def _opens(self, flows: Sequence[str], request: Request) -> bool:
        return self.streamed is not None and list(flows) == list(self.streamed(request))


def require(who: Principal, scope: str) -> None:
    """Raise ForbiddenError for one without this scope."""
    if scope not in who.scopes:
        raise ForbiddenError(f"this takes a token with the scope {scope}")


def scope(name: str, streamed: Flows | None = None) -> Guard:
    """Return the guard of a scope. Raises ValueError for one that no token can have."""
    if name not in identity.SCOPES:
        raise ValueError(f"no such scope: {name}")
    return Guard(name, streamed)


class GuardedRoute(Route):
    """A Starlette route whose endpoint is handed the principal; GET serves HEAD as well."""

    def __init__(self, path: str, endpoint: Endpoint, guard: Guard, method: str = "GET") -> None:
        async def guarded(request: Request) -> Response:
            return await endpoint(request, await guard(request))

        name = getattr(endpoint, "__name__", path)
        super().__init__(path, guarded, name=name, methods=[method])
        self.guard = guard


def guards(route: Any) -> list[Guard]:
    """Return what stands before a route of either framework; [] where nothing does."""
    if isinstance(route, GuardedRoute):
        return [route.guard]
    dependant = getattr(route, "dependant", None)  # of FastAPI, which is not imported here
    calls = [dependency.call for dependency in getattr(dependant, "dependencies", [])]
    return [call for call in calls if isinstance(call, Guard)]
