"""Logs whose reads lag behind their messages, and whose subscriptions lose some."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from core.adapters.memory import MemoryFlows
from core.adapters.upstash.log import UpstashFlowLog
from core.flows import Batch, Flow, FlowLog, Head

Heard = Callable[[int], bool]  # of the number of a message's first event, whether it arrives


class Filtered:
    """Messages of a subscription, without those that are lost."""

    def __init__(self, live: AsyncIterator[Batch], heard: Heard) -> None:
        self.live, self.heard = live, heard

    def __aiter__(self) -> "Filtered":
        return self

    async def __anext__(self) -> Batch:
        while not self.heard((batch := await anext(self.live))[0].number):
            pass
        return batch


class LossyLog(UpstashFlowLog):
    """The log over Redis, of whose messages some are lost; it counts what is read."""

    heard: Heard = staticmethod(lambda _: True)
    asked = 0

    async def entries(self, *where: Any, **how: Any) -> Batch:
        self.asked += 1
        return await super().entries(*where, **how)

    async def snapshot(self, *where: Any, **how: Any) -> Flow:
        self.asked += 1
        return await super().snapshot(*where, **how)

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        async with super().live(tenant, flow) as messages:
            yield Filtered(messages, self.heard)


class LaggingLog(FlowLog):
    """Reads what `flows` held a while ago. Fresh reads lag as well where there is no `leader`."""

    def __init__(self, flows: MemoryFlows, lag_seconds: float, *, leader: bool) -> None:
        self.flows, self.lag, self.leader = flows, lag_seconds, leader
        self.heard: Heard = lambda _: True
        self.asked = 0
        self._past = list[tuple[float, Flow, int]]()  # when, the state, the length of the log
        self._watching: asyncio.Task[None] | None = None

    def watch(self, tenant: str, flow: str) -> None:
        """Begin to remember a flow."""
        self._watching = asyncio.create_task(self._watch(tenant, flow))

    async def _watch(self, tenant: str, flow: str) -> None:
        while True:
            record = self.flows.record(tenant, flow)
            self._past.append((time.monotonic(), record.flow, len(record.log)))
            await asyncio.sleep(0.002)

    def _seen(self, tenant: str, flow: str, *, fresh: bool) -> tuple[Flow, Batch]:
        self.asked += 1
        record = self.flows.record(tenant, flow)
        if fresh and self.leader:
            return record.flow, record.log
        then = time.monotonic() - self.lag
        _, state, length = max((p for p in self._past if p[0] <= then), default=self._past[0])[:3]
        return state, record.log[:length]

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        return self._seen(tenant, flow, fresh=fresh)[0].head

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        return self._seen(tenant, flow, fresh=fresh)[0]

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        log = self._seen(tenant, flow, fresh=fresh)[1]
        return [entry for entry in log if entry.number > after][:limit]

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        async with self.flows.live(tenant, flow) as messages:
            yield Filtered(messages, self.heard)
