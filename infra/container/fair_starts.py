"""Fair starts: of requests that are there at once, one of each client is begun in a turn of the event loop.

A connection of HTTP/2 may bring a thousand requests in a few packets, and take them back, over and over
(CVE-2023-44487). All would be begun before the loop comes to what others want of it.
"""

import asyncio
from collections import deque
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send


class Turns:
    """Lets one of each key through in a turn of the event loop, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting = dict[
            Any, deque[asyncio.Future[None]]
        ]()  # behind one let through in this turn

    async def come(self, key: Any) -> None:
        """Wait for the turn of this key."""
        loop = asyncio.get_running_loop()
        if key not in self._waiting:
            if not self._waiting:
                loop.call_soon(self._next, loop)
            self._waiting[key] = deque()
            return
        turn = loop.create_future()
        self._waiting[key].append(turn)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        for key, waiting in list(self._waiting.items()):
            if not waiting:
                del self._waiting[key]
            elif not (turn := waiting.popleft()).done():  # else its server has given it up
                turn.set_result(None)
        if self._waiting:
            loop.call_soon(self._next, loop)


class FairStarts:
    """ASGI: has requests wait for their client's turn: first that of their token, then that of their connection.

    So neither a tenant with many connections nor a connection with many (forged) tokens has more than one
    turn. The token is first, for a proxy may bring all tenants' requests over one connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tokens, self._connections = Turns(), Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._tokens.come(_token(scope))
            await self._connections.come(scope.get("client"))
        await self._app(scope, receive, send)


def _token(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")
