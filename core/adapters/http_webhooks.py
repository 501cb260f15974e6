"""WebhookSender over HTTP/1.1, one connection a POST.

The name is resolved here, every address is judged, and the connection goes to one that was; TLS
still checks the certificate for the name. Environment variables that name a proxy are not heeded,
since a proxy would resolve the name again. Of the answer the head is read, 16 KiB at most.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping

from core.webhooks.addresses import reachable
from core.webhooks.sender import UndeliveredError
from core.webhooks.targets import PORTS, Target

TIMEOUT_SECONDS = 10.0  # for all of it, from the name to the status
HEAD_BYTES = 16 * 1024
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
INTERIM = range(100, 200)  # come before the answer (RFC 9110, 15.2)
ACCEPTED = range(200, 300)

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order to try them. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class HttpWebhookSender:
    """Posts to targets. `trust` is whose certificates count; by default the system's."""

    def __init__(
        self,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._trust = trust
        self._resolve = resolve
        self._timeout_seconds = timeout_seconds

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """Send one POST. Raises UndeliveredError."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status = await self._status(target, _request(target, headers, body))
        except TimeoutError as error:
            raise UndeliveredError("no answer in time") from error
        except (OSError, EOFError, asyncio.LimitOverrunError, UnicodeError) as error:
            raise UndeliveredError(f"no answer: {type(error).__name__}") from error
        if status not in ACCEPTED:
            raise UndeliveredError(f"the answer was {status}")

    async def _status(self, target: Target, request: bytes) -> int:
        reader, writer = await self._connected(target)
        try:
            writer.write(request)
            await writer.drain()
            while (status := await _answered(reader)) in INTERIM:
                pass
            return status
        finally:
            writer.transport.abort()  # nothing more is wanted; a close could wait for the other side

    async def _connected(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that answers. Raises UndeliveredError, OSError."""
        addresses = await self._resolve(target.host, target.port)
        if not addresses or not all(reachable(a, local=target.local) for a in addresses):
            raise UndeliveredError("the host is at an address that is not called")
        for address in addresses[:-1]:
            try:
                return await self._connect(target, address)
            except OSError:
                continue
        return await self._connect(target, addresses[-1])

    async def _connect(
        self, target: Target, address: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if target.scheme != "https":
            return await asyncio.open_connection(address, target.port, limit=HEAD_BYTES)
        if self._trust is None:
            self._trust = ssl.create_default_context()  # 50 ms: once
        return await asyncio.open_connection(
            address, target.port, limit=HEAD_BYTES, ssl=self._trust, server_hostname=target.host
        )


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != PORTS[target.scheme]:
        host = f"{host}:{target.port}"
    lines = [f"POST {target.path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += ["content-type: application/json", f"content-length: {len(body)}"]
    lines += ["user-agent: crewline-webhooks/1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _answered(reader: asyncio.StreamReader) -> int:
    """Return the status of the next head. Raises UndeliveredError for what is not HTTP."""
    head = await reader.readuntil(b"\r\n\r\n")
    match = STATUS_LINE.match(head)
    if match is None:
        raise UndeliveredError("the answer is not HTTP")
    return int(match[1])
