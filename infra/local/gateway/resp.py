"""RESP2 connections to Redis or Valkey: one shared by all commands, one for each stream or raw answer.

The shared connection is multiplexed: requests are written as they come and answered in order, so a
thousand requests under way cost one socket. It is opened by the first request, and opened anew by
the first request after it was lost. What was under way then fails: whether it ran is unknown, so
nothing is sent a second time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import hiredis

Command = list[bytes]
Reply = Any  # bytes, int, None, hiredis.ReplyError, or a list of these

_INCOMPLETE = object()  # what the reader returns when it needs more bytes
_CHUNK_BYTES = 65_536

# Its stub says a tuple of one; it takes any number.
_pack_command = cast("Callable[[tuple[bytes, ...]], bytes]", hiredis.pack_command)


class Unreachable(Exception):  # noqa: N818 -- says what happened
    """The server cannot be connected to, or went away before it answered."""


class _Batch:
    """A request that waits for its replies."""

    __slots__ = ("future", "missing", "replies")

    def __init__(self, count: int, future: asyncio.Future[list[Reply]]) -> None:
        self.missing = count
        self.replies: list[Reply] = []
        self.future = future

    def add(self, reply: Reply) -> bool:
        """Take the next reply; true when it was the last."""
        self.replies.append(reply)
        self.missing -= 1
        if self.missing == 0 and not self.future.done():  # done: its caller gave up
            self.future.set_result(self.replies)
        return self.missing == 0

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Wire(asyncio.Protocol):
    """One TCP connection: pairs replies with the batches that asked for them, in order."""

    def __init__(self) -> None:
        self._reader = _reader()
        self._waiting: deque[_Batch] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, packed: bytes, count: int) -> asyncio.Future[list[Reply]]:
        if self._transport is None:
            raise Unreachable("the connection is closed")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(_Batch(count, future))
        self._transport.write(packed)
        return future

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _INCOMPLETE:
            if self._waiting[0].add(reply):
                self._waiting.popleft()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        while self._waiting:
            self._waiting.popleft().fail(
                Unreachable(str(exc or "the server closed the connection"))
            )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Connection:
    """The shared connection to the server at `host`:`port`."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._wire: _Wire | None = None
        self._opening = asyncio.Lock()

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands in one piece, so that nobody else's come between, and return their replies.

        An error of a command is a `hiredis.ReplyError` in its place. Raises Unreachable.
        """
        wire = self._wire
        if wire is None or not wire.is_open:
            wire = await self._open()
        return await wire.ask(pack(commands), len(commands))

    async def _open(self) -> _Wire:
        async with self._opening:
            if self._wire is None or not self._wire.is_open:
                self._wire = await self._connect()
            return self._wire

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_connection(_Wire, self._host, self._port)
        except OSError as error:
            raise Unreachable(str(error)) from error
        return wire

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


class Subscription:
    """A connection of its own on which the server goes on sending: SUBSCRIBE, PSUBSCRIBE, MONITOR."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, host: str, port: int, command: Command) -> "Subscription":
        """Connect and send the command. Raises Unreachable."""
        reader, writer = await _dial(host, port)
        writer.write(pack([command]))
        return cls(reader, writer)

    async def replies(self) -> AsyncGenerator[Reply, None]:
        """Yield what the server sends, from the acknowledgement on, until either side closes."""
        parser = _reader()
        while data := await _read(self._reader):
            parser.feed(data)
            while (reply := parser.gets()) is not _INCOMPLETE:
                yield reply

    def close(self) -> None:
        self._writer.close()


async def exchange_bytes(host: str, port: int, commands: Sequence[Command]) -> bytes:
    """Send the commands on a connection of their own and return the answer's bytes as they came.

    Parsed replies no longer tell a status from a string, so RESP2 cannot be written back from them.
    Raises Unreachable.
    """
    reader, writer = await _dial(host, port)
    writer.write(pack(commands))
    try:
        return await _read_replies(reader, len(commands))
    finally:
        writer.close()


def pack(commands: Sequence[Command]) -> bytes:
    return b"".join([_pack_command(tuple(command)) for command in commands])


def _reader() -> hiredis.Reader:
    return hiredis.Reader(notEnoughData=_INCOMPLETE)


async def _dial(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(host, port)
    except OSError as error:
        raise Unreachable(str(error)) from error


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the next bytes, or none once the connection is gone, however it went."""
    try:
        return await reader.read(_CHUNK_BYTES)
    except OSError:
        return b""


async def _read_replies(reader: asyncio.StreamReader, count: int) -> bytes:
    parser, received = _reader(), b""
    while count:
        if not (data := await _read(reader)):
            raise Unreachable("the server closed the connection")
        received += data
        parser.feed(data)
        while parser.gets() is not _INCOMPLETE:
            count -= 1
    return received
