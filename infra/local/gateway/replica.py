"""Reads that lag: a Valkey replica behind a link that delivers late.

What is imitated: writes go to the primary, reads to a replica that is a fixed time behind; every
answer carries `upstash-sync-token`, and a request that brings one waits until the replica has got
that far (https://upstash.com/docs/redis/howto/readyourwrites). The replication is Valkey's own, its
offsets are the tokens, so what a read sees is a state that the primary really had.

What is not: Upstash has many replicas, in turns, each with its own and varying delay, and a leader
that may change; here one replica always lags by the same. Its tokens are opaque, these can be read.
A read answers with the token of the state it saw, the least that Upstash may mean. Messages of
subscriptions are never late: they come from the primary, so they arrive before what they tell of.
"""

import asyncio
import re
import time
from collections.abc import Sequence

from infra.local.gateway.conditions import Conditions
from infra.local.gateway.resp import Command, Connection, Reply

_LOOK_SECONDS = 0.004
_CHUNK_BYTES = 65_536
_INFO: Command = [b"INFO", b"replication"]
_WRITTEN = re.compile(rb"master_repl_offset:(\d+)")
_APPLIED = re.compile(rb"slave_repl_offset:(\d+)")
Address = tuple[str, int]


class LaggingPair:
    """A primary and its replica behind a delayed link. Commands and answers as of `Connection`."""

    def __init__(self, primary: Address, replica: Address, conditions: Conditions) -> None:
        self._address = primary
        self._primary, self._replica = Connection(*primary), Connection(*replica)
        self._conditions = conditions
        self._ready: asyncio.Task[None] | None = None

    async def write(self, commands: Sequence[Command]) -> tuple[list[Reply], str]:
        """Run the commands at the primary; return the replies, and the token of the state after."""
        await self._started()
        *replies, info = await self._primary.execute([*commands, _INFO])
        return replies, str(_offset(_WRITTEN, info))

    async def read(self, commands: Sequence[Command], token: str) -> tuple[list[Reply], str]:
        """Run the commands at the replica, once it is as far as the token says."""
        await self._started()
        while await self._applied() < int(token or 0):  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(_LOOK_SECONDS)
        info, *replies = await self._replica.execute([_INFO, *commands])
        return replies, str(_offset(_APPLIED, info))

    async def _applied(self) -> int:
        [info] = await self._replica.execute([_INFO])
        return _offset(_APPLIED, info)

    async def _started(self) -> None:
        if self._ready is None:
            self._ready = asyncio.create_task(self._start())
        await asyncio.shield(self._ready)

    async def _start(self) -> None:
        """Connect the two, without delay until the replica has all."""
        lag_ms, self._conditions.lag_ms = self._conditions.lag_ms, 0
        link = await asyncio.start_server(self._link, "127.0.0.1")
        port = link.sockets[0].getsockname()[1]
        await self._primary.execute([[b"CONFIG", b"SET", b"repl-diskless-sync-delay", b"0"]])
        await self._replica.execute([[b"REPLICAOF", b"127.0.0.1", str(port).encode()]])
        while b"master_link_status:up" not in (await self._replica.execute([_INFO]))[0]:  # noqa: ASYNC110 -- a poll
            await asyncio.sleep(0.01)
        self._conditions.lag_ms = lag_ms

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection of the replica: what it sends passes, what it gets comes late."""
        above_reader, above = await asyncio.open_connection(*self._address)
        late = asyncio.Queue[tuple[float, bytes]]()
        parts = [
            asyncio.create_task(_pass_on(reader, above)),
            asyncio.create_task(self._receive(above_reader, late)),
            asyncio.create_task(_deliver(late, writer)),
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            writer.close()
            above.close()

    async def _receive(
        self, reader: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            late.put_nowait((time.monotonic() + self._conditions.lag_ms / 1000, data))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)


async def _deliver(late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    while True:
        at, data = await late.get()
        await asyncio.sleep(at - time.monotonic())
        writer.write(data)
        await writer.drain()


def _offset(which: re.Pattern[bytes], info: bytes) -> int:
    found = which.search(info)
    return int(found[1]) if found else 0
