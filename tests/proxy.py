"""What the proxies of the tests have in common; what each of them does to requests is its own.

`rough_network` breaks commands in every way of HTTP (`faulty` in one that is named),
`faulty_gateway` loses subscriptions; `cutting_proxy`, `clients.network` and `browser.network` stand
between a client and the API.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
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


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read one message with a content-length. Raises IncompleteReadError."""
    first = await head(reader)
    length = first.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return first + await reader.readexactly(int(length))
