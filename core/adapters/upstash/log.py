"""FlowLog over Redis: a poll is one HMGET, a page of events a few XRANGEs, following a subscription."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

from core.adapters.upstash import records
from core.adapters.upstash.commands import Commands, PubSub, at_leader, read
from core.adapters.upstash.definitions import Definitions
from core.adapters.upstash.flow_list import FlowList
from core.adapters.upstash.keys import Keyspace
from core.flows import Batch, Entry, Flow, Head, Status, Summary
from core.flows.log import is_full, page_of

RECORD_SEPARATOR = "\x1e"  # between the number and the events of a message, see flow.lua
FIRST_BATCHES, MORE_BATCHES = 4, 4  # read of a log, and how many times as many the next time


class UpstashFlowLog:
    """Reads flows with one command each."""

    def __init__(self, redis: Commands, pubsub: PubSub, keys: Keyspace | None = None) -> None:
        self._redis, self._pubsub = redis, pubsub
        self._keys = keys or Keyspace()
        self._definitions = Definitions(redis, self._keys)

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        """Return the newest of a flow: one HMGET of four short fields."""
        command = ["HMGET", self._keys.flow(tenant, flow), *records.HEAD_FIELDS]
        return records.head(flow, await read(self._redis, command, fresh=fresh))

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        """Return the whole state: one HGETALL, and the definition if it is not known here."""
        command = ["HGETALL", self._keys.flow(tenant, flow)]
        reply = await read(self._redis, command, fresh=fresh)
        return await self._definitions.flow(tenant, flow, reply)

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        """Return the newest flows: a range of ids, then one HMGET for each in a pipeline."""
        fields = "crew", "status", "created", "order"
        lines = await FlowList(self._redis, self._keys).newest(tenant, fields, limit, before)
        return [
            Summary(flow, crew, Status(status), int(created), int(order))
            for flow, (crew, status, created, order) in lines
        ]

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        """Return a page of the log, read a few batches at a time, and then more of them.

        An entry of the stream is a batch: from one short event to a hundred events, a quarter of a
        megabyte. So at most four times as many are read beyond a page as are in it. The first one
        may begin before the page.
        """
        page, last, count = Batch(), after, FIRST_BATCHES
        while True:
            batches = await self._batches(tenant, flow, last, min(count, limit), fresh=fresh)
            page = page_of([*page, *_after(batches, last)], limit)
            if len(batches) < min(count, limit) or is_full(page, limit):
                return page
            last, count = page[-1].number, count * MORE_BATCHES

    async def _batches(
        self, tenant: str, flow: str, after: int, count: int, *, fresh: bool
    ) -> list[Batch]:
        command = ["XRANGE", self._keys.log(tenant, flow), f"({after}-0", "+", "COUNT", count]
        reply: list[tuple[str, list[str]]] = await self._redis.execute(
            at_leader(command) if fresh else command
        )
        return [_batch(int(last.partition("-")[0]), fields) for last, fields in reply]

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        """Subscribe to what is appended."""
        async with self._pubsub.subscribe(self._keys.live(tenant, flow)) as messages:
            yield _Batches(messages)


def _after(batches: list[Batch], number: int) -> Iterator[Entry]:
    return (entry for batch in batches for entry in batch if entry.number > number)


def _batch(last: int, fields: list[str]) -> Batch:
    """Return events from their types and JSON texts in turn; `last` is the number of the last."""
    first = last - len(fields) // 2 + 1
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return [Entry(number, kind, text) for number, (kind, text) in enumerate(pairs, first)]


class _Batches:
    """Batches from messages. No generator: a wait that is cancelled would end one."""

    def __init__(self, messages: AsyncIterator[str]) -> None:
        self._messages = messages

    def __aiter__(self) -> "_Batches":
        return self

    async def __anext__(self) -> Batch:
        message = await anext(self._messages)
        first, *fields = message.split(RECORD_SEPARATOR)
        return _batch(int(first) + len(fields) // 2 - 1, fields)
