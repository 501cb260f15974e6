"""Those who listen: viewers of a flow's stream, and raw subscribers of its channel.

One tool for both, and light, since thousands of them share the benchmark's process: it looks at
lines, and takes the time at which one was complete.
"""

import asyncio
import time
from typing import Self
from urllib.parse import quote

from benchmarks.parts import TENANT, Parts, Server
from core.adapters.upstash.keys import Keyspace


class Listener(asyncio.Protocol):
    """A connection on which lines come; `opened` when the other side hears it."""

    transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self.arrivals: list[float] = []  # when each message was complete
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.hear(line, now)

    def hear(self, line: bytes, now: float) -> None:
        """Take a line."""
        raise NotImplementedError

    def is_open(self) -> None:
        """Say that the other side listens to this one."""
        if not self.opened.done():
            self.opened.set_result(None)

    async def connected(self, port: int) -> Self:
        """Connect, and wait until what is sent from now on will be heard."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        await self.opened
        return self

    def close(self) -> None:
        """Hang up."""
        self.transport.close()


class Raw(Listener):
    """A subscriber of a flow's channel at the gateway."""

    def hear(self, line: bytes, now: float) -> None:
        """Take a line."""
        if line.startswith(b"data: message,"):
            self.arrivals.append(now)
        elif line.startswith(b"data: subscribe,"):
            self.is_open()


class Viewer(Listener):
    """A client of a flow's stream: comes back with its cursor when a stream ends, after its retry.

    `lost` and `repeated` are told by the numbers in the events' ids, which rise by one.
    """

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.number = self.lost = self.repeated = 0
        self.streams = 1
        self._cursor = b""
        self._retry_seconds = 1.0

    def hear(self, line: bytes, now: float) -> None:
        """Take a line."""
        if line.startswith(b"id: "):  # the last line of an event
            self._cursor = line[4:]
            self._count(int(self._cursor.rpartition(b".")[2]))
            self.arrivals.append(now)
            self.is_open()
        elif line.startswith(b"retry: "):
            self._retry_seconds = int(line[7:]) / 1000
        elif line == b"0\r":  # the last chunk: this stream is over
            asyncio.get_running_loop().call_later(self._retry_seconds, self._come_back)

    def _count(self, number: int) -> None:
        self.repeated += number <= self.number
        self.lost += max(0, number - self.number - 1)
        self.number = number

    def _come_back(self) -> None:
        """Ask again on the same connection, as a browser does."""
        if not self.transport.is_closing():
            self.streams += 1
            cursor = b"last-event-id: " + self._cursor + b"\r\n\r\n"
            self.transport.write(self._request[: -len(b"\r\n")] + cursor)


async def viewer(running: Parts, server: Server, flow: str, subject: str) -> Viewer:
    """Return a viewer that has seen the first event."""
    head = f"GET /v1/flows/{flow}/events HTTP/1.1\r\nHost: api.example.com\r\n"
    rest = f"Authorization: {running.bearer(subject)}\r\nAccept: text/event-stream\r\n\r\n"
    return await Viewer((head + rest).encode()).connected(server.port)


async def raw(running: Parts, flow: str) -> Raw:
    """Return a subscriber that the gateway has acknowledged."""
    path = f"/subscribe/{quote(Keyspace().live(TENANT, flow), safe='')}"
    token = f"Authorization: Bearer {running.settings.redis_token}\r\n"
    request = f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{token}\r\n"
    return await Raw(request.encode()).connected(running.gateway_port)
