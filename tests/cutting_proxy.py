"""A proxy that cuts streams of server-sent events in the middle of a frame, at random bytes.

It cuts everywhere but at one byte: between an id's line end and the empty line. A client that takes
the id with its line (fetch-event-source does) has then moved on over an event that never ended, and
nothing that a server could write would help it.
"""

import asyncio
import contextlib
import random
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.proxy import connect, head, listening

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
        upstream_reader, upstream = await connect(self.target)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            upstream.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", await head(reader)))
            writer.write(await head(upstream_reader))
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


def cutting(proxy: CuttingProxy) -> AbstractAsyncContextManager[str]:
    """Yield the proxy's URL."""
    return listening(proxy.serve)
