"""A network in front of the gateway that loses things: for tests of what must survive that."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

Fault = Callable[
    [], str
]  # "pass", "drop" (executed, reply lost), "refuse" (not executed), "500", "503"


def a_share_dropped(share: float, seed: int) -> Fault:
    """Lose this share of the replies after the command was executed."""
    rng = random.Random(seed)
    return lambda: "drop" if rng.random() < share else "pass"


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP/1.1 message with a content-length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    return head + await reader.readexactly(length)


@asynccontextmanager
async def faulty(url: str, fault: Fault) -> AsyncIterator[str]:
    """Yield the URL of a proxy to `url` that asks `fault` what to do with each request."""
    parts = urlsplit(url)

    async def forward(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        reply = await _message(reader)
        writer.close()
        return reply

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await _message(reader)
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

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


@asynccontextmanager
async def cutting(url: str, cuts: int, most_bytes: int, seed: int) -> AsyncIterator[str]:
    """Yield the URL of a proxy that cuts its first `cuts` connections after some of the reply."""
    parts, rng, left = urlsplit(url), random.Random(seed), cuts

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        budget = rng.randrange(300, most_bytes) if left > 0 else None
        left -= 1
        upstream_reader, upstream = await asyncio.open_connection(parts.hostname, parts.port)
        upstream.write(await reader.readuntil(b"\r\n\r\n"))
        with contextlib.suppress(ConnectionError):
            while chunk := await upstream_reader.read(65536):
                writer.write(chunk[:budget])
                await writer.drain()
                if budget is not None and (budget := budget - len(chunk)) <= 0:
                    break
        upstream.close()
        writer.transport.abort() if budget is not None else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
