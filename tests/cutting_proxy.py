"""A proxy that cuts streams of server-sent events in the middle of a frame, at random bytes.

It cuts everywhere but at one byte: between an id's line end and the empty line. A client that takes
the id with its line (fetch-event-source does) has then moved on over an event that never ended, and
nothing that a server could write would help it.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

RETRY = re.compile(rb"retry: [0-9]{4}\n")
BETWEEN = re.compile(rb"\nid: [^\n]*\n\Z")


@dataclass
class CuttingProxy:
    """In front of `target`; the first `cuts` answers are cut `at_most` bytes after their headers."""

    target: str
    cuts: int
    at_most: int
    rng: random.Random
    done: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.target)
        upstream_reader, upstream = await asyncio.open_connection(parts.hostname, parts.port)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            upstream.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", await _head(reader)))
            writer.write(await _head(upstream_reader))
            await self._pass_on(upstream_reader, writer)
        upstream.close()
        writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.rng.randrange(30, self.at_most) if self.done < self.cuts else None
        passed = b""
        while chunk := RETRY.sub(b"retry: 0010\n", await reader.read(65536)):
            if left is not None and left < len(chunk):
                left -= bool(BETWEEN.search(passed + chunk[:left]))
                writer.write(chunk[: max(left, 0)])
                await writer.drain()
                self.done += 1
                return
            writer.write(chunk)
            await writer.drain()
            left = None if left is None else left - len(chunk)
            passed = chunk[-1000:]


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def cutting(proxy: CuttingProxy) -> AsyncIterator[str]:
    """Yield the proxy's URL."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
