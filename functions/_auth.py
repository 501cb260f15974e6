"""Who may do what: nobody, until a token and a scope say otherwise.

The middleware turns away every request without a good token, before there is any routing. A guard
lets an endpoint have the principal only if it holds the scope that the route names; an app with a
route that names none is not built at all (`functions._app`).
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core import bootstrap, identity
from core.errors import ForbiddenError, UnauthenticatedError
from core.identity import Principal

TOKEN_CHARACTERS = 4096
BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1
Endpoint = Callable[[Request, Principal], Awaitable[Response]]


class Authenticated:
    """ASGI: verifies the bearer token of every request. Raises UnauthenticatedError."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            who = identity.verify(_token(scope), bootstrap.keys(), int(time.time()))
            scope.setdefault("state", {})["principal"] = who
        await self.app(scope, receive, send)


def _token(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    match = BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or len(match[1]) > TOKEN_CHARACTERS:
        raise UnauthenticatedError("send one bearer token in the Authorization header")
    return match[1].decode("ascii")


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets those pass who hold a scope. With FastAPI: `Depends(scope(...))`."""

    scope: str

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking. Raises ForbiddenError."""
        who: Principal = request.state.principal
        if self.scope not in who.scopes:
            raise ForbiddenError(f"this takes a token with the scope {self.scope}")
        return who


def scope(name: str) -> Guard:
    """Return the guard of a scope. Raises ValueError for one that no token can have."""
    if name not in identity.SCOPES:
        raise ValueError(f"no such scope: {name}")
    return Guard(name)


class GuardedRoute(Route):
    """A Starlette route for GET and HEAD whose endpoint is handed the principal."""

    def __init__(self, path: str, endpoint: Endpoint, guard: Guard) -> None:
        async def guarded(request: Request) -> Response:
            return await endpoint(request, await guard(request))

        super().__init__(path, guarded, name=getattr(endpoint, "__name__", path))
        self.guard = guard


def guards(route: Any) -> list[Guard]:
    """Return what stands before a route of either framework; [] where nothing does."""
    if isinstance(route, GuardedRoute):
        return [route.guard]
    dependant = getattr(route, "dependant", None)  # of FastAPI, which is not imported here
    calls = [dependency.call for dependency in getattr(dependant, "dependencies", [])]
    return [call for call in calls if isinstance(call, Guard)]
