"""Reading flows in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from core.adapters.memory.records import Record
from core.errors import NotFoundError
from core.flows import Batch, Flow, Head, Summary
from core.flows.log import page_of


class MemoryLog:
    """FlowLog in memory."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}

    def record(self, tenant: str, flow: str) -> Record:
        """Return what is kept of a flow. Raises NotFoundError."""
        if (tenant, flow) not in self._records:
            raise NotFoundError(f"no flow {flow}")
        return self._records[tenant, flow]

    def subscribers(self, tenant: str, flow: str) -> int:
        """Return how many follow a flow now."""
        return len(self.record(tenant, flow).subscribers)

    def trim(self, tenant: str, flow: str, kept: int) -> None:
        """Forget all events of a flow but the last, as a store with a bounded log would."""
        del self.record(tenant, flow).log[:-kept]

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        del fresh  # one memory is never behind
        return self.record(tenant, flow).flow.head

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        del fresh
        return self.record(tenant, flow).flow

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        listed = [
            Summary(r.flow.id, r.flow.crew, r.flow.head.status, r.flow.created_ms, r.order)
            for r in self.newest(tenant, before)
        ]
        return listed[:limit]

    def newest(self, tenant: str, before: int | None = None) -> list[Record]:
        """Return a tenant's flows, the newest first."""
        return [
            r
            for (owner, _), r in reversed(self._records.items())
            if owner == tenant and (before is None or r.order < before)
        ]

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        del fresh
        log = self.record(tenant, flow).log
        return page_of((entry for entry in log if entry.number > after), limit)

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        record, queue = self.record(tenant, flow), asyncio.Queue[Batch]()
        record.subscribers.append(queue)
        try:
            yield _Queued(queue)
        finally:
            record.subscribers.remove(queue)


class _Queued:
    """Batches from a queue; a wait may be cancelled without losing one."""

    def __init__(self, queue: asyncio.Queue[Batch]) -> None:
        self._queue = queue

    def __aiter__(self) -> "_Queued":
        return self

    async def __anext__(self) -> Batch:
        return await self._queue.get()
