"""Commands and subscriptions over keep-alive HTTP connections of our own.

Upstash's own client spends 3 to 10 ms of CPU on a command, nearly all of it in its HTTP client;
this one about a tenth of that (docs/adr/0002). It knows what the REST API needs and no more: one
POST at a time on a connection, answers parsed by httptools, and an endless GET for a subscription.
A large reply, such as a day's roll-up, is read beside the event loop in its tenant's turn.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httptools

from core import cpu
from core.adapters.upstash.commands import Command, whose
from core.adapters.upstash.refusals import error_from_reply
from core.errors import TooLargeError, UnavailableError
from core.json_text import compact_bytes, loads_in_turns

TIMEOUT_SECONDS = 3.0
REPLY_STATUSES = (200, 400, 401)  # what Upstash answers when Redis, or its door, did
TOO_LARGE = 413
SYNC_TOKEN = "upstash-sync-token"  # noqa: S105 -- the name of a header
READS = frozenset({  # of all that the adapters send
    "GET", "HGET", "HGETALL", "HMGET", "HSCAN", "TIME", "XLEN", "XRANGE", "ZRANGE", "ZREVRANGEBYSCORE", "ZSCORE",
})  # fmt: skip


class _Endpoint:
    """Where the REST API is, and how a request to it looks."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.tls = parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 80)
        self._base = parts.path.rstrip("/")
        self._headers = f"host: {parts.netloc}\r\nauthorization: Bearer {token}\r\n"
        self._ssl: ssl.SSLContext | None = None

    def request(self, method: str, path: str, body: bytes = b"", sync_token: str = "") -> bytes:
        synced = f"{SYNC_TOKEN}: {sync_token}\r\n" if sync_token else ""
        head = (
            f"{method} {self._base}{path} HTTP/1.1\r\n{self._headers}{synced}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def connect(self, protocol: "_Connection") -> None:
        """Raise UnavailableError if nobody is there."""
        if self.tls and self._ssl is None:
            self._ssl = ssl.create_default_context()  # 50 ms: once
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await loop.create_connection(lambda: protocol, self.host, self.port, ssl=self._ssl)
        except (OSError, TimeoutError) as error:
            raise UnavailableError("the store cannot be reached") from error


class _Connection(asyncio.Protocol):
    """One HTTP connection; the parser calls the `on_` methods."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.sync_token = ""  # of the last answer
        self._answer: asyncio.Future[bytes] | None = None
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    @property
    def status(self) -> int:
        return self._parser.get_status_code()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        if self._answer and not self._answer.done():
            self._answer.set_exception(UnavailableError("the store hung up"))

    def on_message_begin(self) -> None:
        self._body.clear()
        self.sync_token = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == len(SYNC_TOKEN) and name.lower() == SYNC_TOKEN.encode():
            self.sync_token = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result(bytes(self._body))

    async def ask(self, request: bytes) -> bytes:
        """Send a request, return the body of its answer. Raises UnavailableError."""
        self._answer = self.loop.create_future()
        expiry = self.loop.call_later(TIMEOUT_SECONDS, self._expire)  # 2 us less than timeout()
        self.transport.write(request)
        try:
            return await self._answer
        finally:
            expiry.cancel()

    def _expire(self) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(UnavailableError("the store does not answer"))

    def close(self) -> None:
        self.closed = True
        self.transport.close()


class HttpRedis:
    """Commands over a pool of connections that grows with what is under way at once.

    Reads may be served by a replica that is behind. Each answer brings a token of the state it saw,
    and the next request takes it along, so that this client reads what it wrote and never goes
    back (https://upstash.com/docs/redis/howto/readyourwrites). Tokens cannot be compared: of writes
    that overlap the last one answered is kept, and a read that overlapped a write keeps none. So
    this holds for whoever waits for each answer; another process' writes may still be missing.
    """

    def __init__(self, url: str, token: str) -> None:
        self._endpoint = _Endpoint(url, token)
        self._idle: list[_Connection] = []
        self._sync_token = ""

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        reads = command[0] in READS
        return _result(await self._post("/", command, command, reads=reads))

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several in one request."""
        reads = all(command[0] in READS for command in commands)
        replies: Any = await self._post("/pipeline", commands, commands[0], reads=reads)
        if not isinstance(replies, list):  # refused as a whole
            return _result(replies)
        return [_result(reply) for reply in cast("list[Any]", replies)]

    async def _post(self, path: str, content: Any, first: Command, *, reads: bool) -> Any:
        sent = self._sync_token
        request = self._endpoint.request("POST", path, compact_bytes(content), sent)
        connection = await self._connection()
        try:
            answer = await connection.ask(request)
        except BaseException:  # a cancelled wait too: its answer would be the next one's
            connection.close()
            raise
        if connection.sync_token and (not reads or self._sync_token == sent):
            self._sync_token = connection.sync_token
        if not connection.closed:
            self._idle.append(connection)
        if len(answer) <= cpu.LARGE_BYTES:
            return _reply(connection.status, answer)
        read = partial(_reply, connection.status, loads=loads_in_turns)
        return await cpu.run(whose(first), read, answer)

    async def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.loop is loop:
                return connection
        connection = _Connection()
        await self._endpoint.connect(connection)
        return connection


def _reply(status: int, body: bytes, loads: Callable[[bytes], Any] = json.loads) -> Any:
    """Return the JSON of an answer. Raises UnavailableError for one that no Redis gave."""
    if status == TOO_LARGE:
        raise TooLargeError("this is larger than the store takes in one piece")
    if status not in REPLY_STATUSES:
        raise UnavailableError(f"the store answered {status}")
    try:
        return loads(body)
    except ValueError as error:
        raise UnavailableError("the store answered nonsense") from error


def _result(reply: Any) -> Any:
    if not isinstance(reply, dict):
        raise UnavailableError("the store answered nonsense")
    if "result" in reply:
        return cast("dict[str, Any]", reply)["result"]
    raise error_from_reply(str(cast("dict[str, Any]", reply).get("error")))


class HttpPubSub:
    """Subscriptions, each an endless answer on a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._endpoint = _Endpoint(url, token)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncGenerator[AsyncIterator[str]]:
        """Subscribe to a channel; entered when the server has acknowledged it."""
        listener = _Listener()
        await self._endpoint.connect(listener)
        try:
            path = f"/subscribe/{quote(channel, safe='')}"
            await listener.subscribed(self._endpoint.request("GET", path))
            yield listener
        finally:
            listener.close()


class _Listener(_Connection):
    """Lines of an event stream, `data: subscribe,channel,count` and `data: message,channel,text`.

    Iterating gives the texts; a wait may be cancelled without losing one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._acknowledged = self.loop.create_future()
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()

    async def subscribed(self, request: bytes) -> None:
        """Send the request, wait for the acknowledgement. Raises UnavailableError."""
        self.transport.write(request)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._acknowledged
        except TimeoutError as error:
            raise UnavailableError("the store does not acknowledge a subscription") from error

    def on_body(self, body: bytes) -> None:
        self._body += body
        while (end := self._body.find(b"\n")) >= 0:
            line = self._body[:end].decode("utf-8", "replace").rstrip("\r")
            del self._body[: end + 1]
            if line.startswith("data: "):
                self._on_line(line.removeprefix("data: "))

    def _on_line(self, data: str) -> None:
        kind, _, rest = data.partition(",")
        if kind == "subscribe" and not self._acknowledged.done():
            self._acknowledged.set_result(None)
        elif kind == "message":
            self._texts.put_nowait(rest.partition(",")[2])

    def on_message_complete(self) -> None:
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._texts.put_nowait(None)
        if not self._acknowledged.done():
            self._acknowledged.set_exception(UnavailableError("the store takes no subscription"))

    def __aiter__(self) -> "_Listener":
        return self

    async def __anext__(self) -> str:
        text = await self._texts.get()
        if text is None:
            self._texts.put_nowait(None)
            raise StopAsyncIteration
        return text
