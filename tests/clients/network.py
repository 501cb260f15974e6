"""A network between a client and the API that does to each request what the test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests import proxy
from tests.proxy import listening


class Asked(proxy.Request):
    """A request, and in which way it reads a flow."""

    @property
    def way(self) -> str:
        """How this would read a flow."""
        if not self.path.endswith("/events"):
            return "state"
        if self.headers.get("accept") == "text/event-stream":
            return "stream"
        return "page" if self.headers.get("prefer") == "wait=0" else "long-poll"


@dataclass(frozen=True)
class Pass:
    """Hand the request on; cut the connection after so many bytes of the reply, if any are named."""

    reply_bytes: int | None = None


@dataclass(frozen=True)
class Say:
    """Answer in the API's place."""

    status: int
    headers: str = ""
    body: str = "no"


@dataclass(frozen=True)
class Hang:
    """Take the request and never answer."""


Fate = Pass | Say | Hang


@asynccontextmanager
async def network(url: str, decide: Callable[[Asked], Fate]) -> AsyncIterator[str]:
    """Yield the URL of a proxy to `url` that asks `decide` about every request."""

    async def hand_on(asked: Asked, writer: asyncio.StreamWriter, reply_bytes: int | None) -> None:
        upstream_reader, upstream = await asked.sent_on(url)
        left: Any = reply_bytes
        try:
            while chunk := await upstream_reader.read(65536):
                writer.write(chunk[:left])
                await writer.drain()
                if left is not None and (left := left - len(chunk)) <= 0:
                    writer.transport.abort()
                    break
        finally:
            upstream.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            asked = await Asked.read(reader)
            match decide(asked):
                case Pass(reply_bytes):
                    await hand_on(asked, writer, reply_bytes)
                case Say(status, headers, body):
                    length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                    writer.write(f"HTTP/1.1 {status} X\r\n{headers}{length}{body}".encode())
                case Hang():
                    await reader.read()
        writer.close()

    async with listening(serve) as own_url:
        yield own_url
