"""The load generator: connections that ask again as soon as they are answered.

One tool for all that is compared. It knows just enough HTTP to see where an answer ends, so that
its own work (some 8 us a request) is small beside that of what it loads.
"""

import asyncio
import re
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
END = b"\r\n\r\n"


class UnexpectedError(Exception):
    """An answer had another status than the benchmark is about."""


@dataclass
class Load:
    """What is asked, over and over, and how often it was answered with `status`."""

    port: int
    request: bytes
    status: int
    answered: int = 0
    fault: Exception | None = None
    limit: int | None = None  # stop asking after so many answers
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def for_seconds(self, clients: int, seconds: float, warm_up_seconds: float) -> float:
        """Return the answers a second."""
        async with _Connections(self, clients):
            await asyncio.sleep(warm_up_seconds)
            loop = asyncio.get_running_loop()
            before, start = self.answered, loop.time()
            await asyncio.sleep(seconds)
            return (self.answered - before) / (loop.time() - start)

    async def times(self, count: int, clients: int = 1) -> None:
        """Return after so many answers; by default one is asked for after the other."""
        self.limit = self.answered + count
        self.done.clear()
        async with _Connections(self, clients):
            await self.done.wait()


class _Connections:
    """So many connections that ask, as long as the context lasts."""

    def __init__(self, load: Load, clients: int) -> None:
        self._load, self._clients = load, clients
        self._open: list[asyncio.BaseTransport] = []

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._clients):
            made = await loop.create_connection(
                lambda: _Connection(self._load), "127.0.0.1", self._load.port
            )
            self._open.append(made[0])

    async def __aexit__(self, *_: object) -> None:
        for transport in self._open:
            transport.close()
        if self._load.fault:
            raise self._load.fault


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self._load = load
        self._start = b"HTTP/1.1 %d " % load.status
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(END)
        if head < 0:
            return
        length = LENGTH.search(self._received, 0, head + 2)
        if len(self._received) < head + len(END) + (int(length[1]) if length else 0):
            return
        self._answered(self._received)
        self._received = b""

    def _answered(self, answer: bytes) -> None:
        load = self._load
        if not answer.startswith(self._start):
            load.fault = UnexpectedError(answer[:200].decode("latin-1"))
        else:
            load.answered += 1
        if load.fault or load.answered == load.limit:
            load.done.set()
        else:
            self.transport.write(load.request)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc and self._load.fault is None:
            self._load.fault = exc
            self._load.done.set()
