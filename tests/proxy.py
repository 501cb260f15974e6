"""What the proxies of the tests have in common; what each of them does to requests is its own.

`rough_network` breaks commands in every way of HTTP (`faulty` in one that is named),
`faulty_gateway` loses subscriptions; `cutting_proxy`, `clients.network` and `browser.network` stand
between a client and the API.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncGenerator[str]:
    """Serve connections on a free port of this machine; yield its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def connect(url: str) -> Streams:
    """Connect to what a proxy stands in front of. Raises OSError."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def head(reader: asyncio.StreamReader) -> bytes:
    """Read up to the empty line. Raises IncompleteReadError."""
    return await reader.readuntil(b"\r\n\r\n")


@dataclass(frozen=True)
class Request:
    """What a client asked; names of headers in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """Read a request. Raises IncompleteReadError."""
        first, *lines = (await head(reader)).decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return cls(method, target, headers, body)

    async def sent_on(self, url: str, **more: str) -> Streams:
        """Send it to a server, whose answer ends with the connection; `more` headers it lacks."""
        reader, writer = await connect(url)
        headers = more | self.headers | {"connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{self.method} {self.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        writer.write(self.body)
        return reader, writer


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read one message with a content-length. Raises IncompleteReadError."""
    first = await head(reader)
    length = first.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return first + await reader.readexactly(int(length))
