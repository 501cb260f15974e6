"""FlowLog over Redis: a poll is one HMGET, a page of events one XRANGE, following a subscription."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core.adapters.upstash import keys, records
from core.adapters.upstash.commands import Command, Commands, PubSub, at_leader
from core.flows import Batch, Entry, Flow, Head, Status, Summary

RECORD_SEPARATOR = "\x1e"  # between the number and the events of a message, see prelude.lua


class UpstashFlowLog:
    """Reads flows with one command each."""

    def __init__(self, redis: Commands, pubsub: PubSub) -> None:
        self._redis = redis
        self._pubsub = pubsub

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        """Return the newest of a flow: one HMGET of four short fields."""
        command = ["HMGET", keys.flow(tenant, flow), *records.HEAD_FIELDS]
        return records.head(flow, await self._found(command, fresh=fresh))

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        """Return the whole state: one HGETALL."""
        command = ["HGETALL", keys.flow(tenant, flow)]
        return records.flow(flow, await self._found(command, fresh=fresh))

    async def _found(self, command: Command, *, fresh: bool) -> list[Any]:
        """Read; what a replica does not have may have been written a moment ago, so ask the leader."""
        reply: list[Any] = [] if fresh else await self._redis.execute(command)
        return reply if any(reply) else await self._redis.execute(at_leader(command))

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        """Return the newest flows: a range of ids, then one HMGET for each in a pipeline.

        A flow that has expired is still listed for a while; then more of the list is read.
        """
        newest = "+inf" if before is None else f"({before}"
        found: list[Summary] = []
        while True:
            wanted = limit - len(found)
            flows: list[str] = await self._redis.execute(
                ["ZREVRANGEBYSCORE", keys.flows(tenant), newest, "-inf", "LIMIT", 0, wanted]
            )
            found += await self._summaries(tenant, flows)
            if len(found) == limit or len(flows) < wanted:
                return found
            order = await self._redis.execute(["ZSCORE", keys.flows(tenant), flows[-1]])
            if order is None:
                return found
            newest = f"({order}"

    async def _summaries(self, tenant: str, flows: list[str]) -> list[Summary]:
        if not flows:
            return []
        fields = await self._redis.pipeline(
            [
                ["HMGET", keys.flow(tenant, flow), "crew", "status", "created", "order"]
                for flow in flows
            ]
        )
        return [
            Summary(flow, crew, Status(status), int(created), int(order))
            for flow, (crew, status, created, order) in zip(flows, fields, strict=True)
            if status  # a flow may have expired since
        ]

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        """Return a page of the log: one XRANGE."""
        command = ["XRANGE", keys.log(tenant, flow), f"({after}-0", "+", "COUNT", limit]
        reply: list[tuple[str, list[str]]] = await self._redis.execute(
            at_leader(command) if fresh else command
        )
        return [Entry(int(number.partition("-")[0]), fields[1]) for number, fields in reply]

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        """Subscribe to what is appended."""
        async with self._pubsub.subscribe(keys.live(tenant, flow)) as messages:
            yield _Batches(messages)


class _Batches:
    """Batches from messages. No generator: a wait that is cancelled would end one."""

    def __init__(self, messages: AsyncIterator[str]) -> None:
        self._messages = messages

    def __aiter__(self) -> "_Batches":
        return self

    async def __anext__(self) -> Batch:
        message = await anext(self._messages)
        first, *events = message.split(RECORD_SEPARATOR)
        return [Entry(number, event) for number, event in enumerate(events, int(first))]
