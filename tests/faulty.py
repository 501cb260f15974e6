"""A network in front of the gateway that loses things: for tests of what must survive that."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.proxy import connect, head, listening, message

Fault = Callable[
    [], str
]  # "pass", "drop" (executed, reply lost), "refuse" (not executed), "500", "503"


def a_share_dropped(share: float, seed: int) -> Fault:
    """Lose this share of the replies after the command was executed."""
    rng = random.Random(seed)
    return lambda: "drop" if rng.random() < share else "pass"


@asynccontextmanager
async def faulty(url: str, fault: Fault) -> AsyncIterator[str]:
    """Yield the URL of a proxy to `url` that asks `fault` what to do with each request."""

    async def forward(request: bytes) -> bytes:
        reader, writer = await connect(url)
        writer.write(request)
        reply = await message(reader)
        writer.close()
        return reply

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await message(reader)
                what = fault()
                if what == "500":
                    writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops")
                    continue
                if what == "503":
                    body = b'{"error":"ERR try again"}'
                    writer.write(
                        b"HTTP/1.1 503 No\r\ncontent-length: %d\r\n\r\n" % len(body) + body
                    )
                    continue
                if what == "refuse":
                    break
                reply = await forward(request)
                if what == "drop":
                    break
                writer.write(reply)
        writer.close()

    async with listening(serve) as own_url:
        yield own_url


@asynccontextmanager
async def cutting(url: str, cuts: int, most_bytes: int, seed: int) -> AsyncIterator[str]:
    """Yield the URL of a proxy that cuts its first `cuts` connections after some of the reply."""
    rng, left = random.Random(seed), cuts

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        budget = rng.randrange(300, most_bytes) if left > 0 else None
        left -= 1
        upstream_reader, upstream = await connect(url)
        upstream.write(await head(reader))
        with contextlib.suppress(ConnectionError):
            while chunk := await upstream_reader.read(65536):
                writer.write(chunk[:budget])
                await writer.drain()
                if budget is not None and (budget := budget - len(chunk)) <= 0:
                    break
        upstream.close()
        writer.transport.abort() if budget is not None else writer.close()

    async with listening(serve) as own_url:
        yield own_url
