"""Fair starts: of requests that are there at once, one of each client is begun in a turn of the event loop.

A connection of HTTP/2 may bring a thousand requests in a few packets, and take them back, over and over
(CVE-2023-44487). All would be begun before the loop comes to what others want of it.
"""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send


class FairStarts:
    """ASGI: has requests wait for their client's turn. A client is who brings one token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting = dict[bytes, deque[asyncio.Future[None]]]()  # behind one begun in this turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._turn(_client(scope))
        await self._app(scope, receive, send)

    async def _turn(self, client: bytes) -> None:
        loop = asyncio.get_running_loop()
        if client not in self._waiting:
            if not self._waiting:
                loop.call_soon(self._next_turn, loop)
            self._waiting[client] = deque()
            return
        turn = loop.create_future()
        self._waiting[client].append(turn)
        await turn

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        for client, waiting in list(self._waiting.items()):
            if not waiting:
                del self._waiting[client]
            elif not (turn := waiting.popleft()).done():  # else its server has given it up
                turn.set_result(None)
        if self._waiting:
            loop.call_soon(self._next_turn, loop)


def _client(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")
