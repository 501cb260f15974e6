"""A proxy in front of the REST gateway whose subscriptions lose, go deaf, break off or never come."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NoReturn
from urllib.parse import unquote

from tests.proxy import Streams, connect, listening, message

Verdict = Literal["pass", "drop", "cut"]
Judge = Callable[[int], Verdict]  # of a subscription's n-th message


@dataclass
class Faults:
    """What goes wrong at the moment, and what was asked, with the time.

    `status` answers everything in the gateway's place. `subscriptions` are faults by flow; None
    stands for a subscribe endpoint that is not there: 404.
    """

    status: int | None = None
    subscriptions: dict[str, Judge | None] = field(default_factory=dict[str, "Judge | None"])
    asked: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def per_second(self, since: float, until: float) -> float:
        """How many requests a second came in between."""
        return sum(since <= at < until for at, _ in self.asked) / (until - since)


@asynccontextmanager
async def faulty_gateway(url: str, faults: Faults) -> AsyncIterator[str]:
    """Yield the URL of a proxy to the gateway at `url`."""
    open_ = set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            upstream = await connect(url)
        except OSError:
            faults.asked.append((time.monotonic(), "nobody there"))
            return writer.close()
        open_.add(upstream[1])
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _relay((reader, writer), upstream, faults)
        upstream[1].close()
        return writer.close()

    try:
        async with listening(serve) as own_url:
            yield own_url
    finally:
        for writer in open_:
            writer.transport.abort()
        await asyncio.sleep(0)  # until all have noticed


async def _relay(client: Streams, gateway: Streams, faults: Faults) -> None:
    """Serve one connection until a side hangs up, which is an IncompleteReadError."""
    while True:
        request = await message(client[0])
        path = unquote(request.split(b" ", 2)[1].decode())
        faults.asked.append((time.monotonic(), path))
        flow = path.rpartition(":")[2] if path.startswith("/subscribe/") else ""
        judge = faults.subscriptions.get(flow, _pass)
        if faults.status or judge is None:
            client[1].write(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % (faults.status or 404))
            continue
        gateway[1].write(request)
        if flow:
            await _subscription(client, gateway, judge)
        client[1].write(await message(gateway[0]))


def _pass(_: int) -> Verdict:
    return "pass"


async def _subscription(client: Streams, gateway: Streams, judge: Judge) -> NoReturn:
    """Pass the head and the acknowledgement on, and of the messages what the judge lets through."""
    client[1].write(await gateway[0].readuntil(b"\r\n\r\n"))
    client[1].write(await _chunk(gateway[0]))
    gone = asyncio.create_task(client[0].read())  # a client that has subscribed sends no more
    gone.add_done_callback(lambda _: gateway[1].transport.abort())
    try:
        for number in itertools.count(1):
            chunk, verdict = await _chunk(gateway[0]), judge(number)
            if verdict == "cut":
                client[1].transport.abort()
            elif verdict == "pass":
                client[1].write(chunk)
    finally:
        gone.cancel()
    raise AssertionError


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """Read one chunk of a chunked body, as it stands: one event."""
    head = await reader.readuntil(b"\r\n")
    return head + await reader.readexactly(int(head, 16) + 2)
