"""Draining: when the host stops, open streams end at once, each after a whole event.

Whoever reads one comes back with the cursor of its last event, and meets a host that stays.
Otherwise a stop would wait for streams that last a minute, or cut them in the middle of a frame.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FLUSH_SECONDS = 0.05  # for the server to send what it was given last


class Draining:
    """ASGI: an app to which all clients seem to be gone when `stopping` is set.

    It stops sending, as it would for a client that has hung up, and the answer is ended for it.
    """

    def __init__(self, app: ASGIApp, stopping: asyncio.Event) -> None:
        self._app = app
        self._stopping = stopping
        self._answers = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        with self._under_way():
            await self._app(scope, _Request(receive, self._stopping), answer)
            if self._stopping.is_set():
                await answer.end()

    async def drained(self, seconds: float) -> None:
        """Return when no answer is under way any more, or this long after `stopping` is set."""
        await self._stopping.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        await asyncio.sleep(FLUSH_SECONDS)

    @contextmanager
    def _under_way(self) -> Generator[None]:
        self._answers += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._answers -= 1
            if not self._answers:
                self._idle.set()


class _Request:
    """Receives; once the body is there, all that can come is that the client is gone."""

    def __init__(self, receive: Receive, stopping: asyncio.Event) -> None:
        self._receive, self._stopping = receive, stopping
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._gone()
        message = await self._receive()
        self._complete = not message.get("more_body", False)
        return message

    async def _gone(self) -> Message:
        waits = [
            asyncio.ensure_future(self._receive()),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return {"type": "http.disconnect"}


class _Answer:
    """Sends, and knows whether the end is still to be sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._open = False

    async def __call__(self, message: Message) -> None:
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        if self._open:
            await self({"type": "http.response.body", "body": b""})
