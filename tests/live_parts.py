"""Logs whose subscriptions fail, flows that are written to, and a viewer that tells what it saw."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.adapters.memory import MemoryFlows
from core.crews.ledger import Claim, StepWrite
from core.errors import UnavailableError
from core.flows import Batch, Flow, Status, events, hub
from core.flows.subscription import FollowPolicy

LEASE_MS = 60_000

SOON = FollowPolicy(silence=0.1, first=0.02, growth=1.2, longest=0.05, subscribe_again=0.3)


class Counted(MemoryFlows):
    """A log that counts what is asked of it, and whose subscriptions can be made to fail."""

    def __init__(self, heard: Callable[[int], bool | None] = lambda _: True) -> None:
        super().__init__()
        self.heard, self.asked, self.open = heard, list[str](), 0
        self.missing = self.away = False

    async def head(self, tenant: str, flow: str, *, fresh: bool = False):
        self._ask("head")
        return await super().head(tenant, flow, fresh=fresh)

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        self._ask("entries")
        return await super().entries(tenant, flow, after, limit, fresh=fresh)

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        self._ask("snapshot")
        return await super().snapshot(tenant, flow, fresh=fresh)

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        self._ask("live")
        if self.missing:
            raise UnavailableError("no such endpoint")
        self.open += 1
        try:
            async with super().live(tenant, flow) as live:
                yield _Filtered(live, self.heard)
        finally:
            self.open -= 1

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise UnavailableError("away")


class _Filtered:
    def __init__(self, live: AsyncIterator[Batch], heard: Callable[[int], bool | None]) -> None:
        self.live, self.heard = live, heard

    def __aiter__(self) -> "_Filtered":
        return self

    async def __anext__(self) -> Batch:
        while True:
            batch = await anext(self.live)
            verdict = self.heard(batch[0].number)
            if verdict is None:  # the connection is cut
                raise StopAsyncIteration
            if verdict:
                return batch


async def claimed(log: MemoryFlows) -> Claim:
    step = (await log.state("t", "f1")).steps[0]
    claim = await log.claim("t", "f1", step, owner="w", lease_ms=LEASE_MS, events=[])
    assert isinstance(claim, Claim)
    return claim


async def written(log: MemoryFlows, claim: Claim, numbers: range, pause: float = 0.005) -> None:
    for seq in numbers:
        await asyncio.sleep(pause)
        await log.emit(claim, seq, LEASE_MS, StepWrite(events.custom("count", seq)))


async def ended(log: MemoryFlows) -> int:
    """End the flow; return the number of its last event."""
    await log.transition(
        "t", "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )
    return (await MemoryFlows.head(log, "t", "f1")).last_event


def seconds(total: float) -> Callable[[], float]:
    end = asyncio.get_running_loop().time() + total
    return lambda: end - asyncio.get_running_loop().time()


async def seen(watching: hub.Hub, cursor: str | None = None, total: float = 10) -> list[int | Flow]:
    """Numbers of events, and snapshots between them, until the flow or the time ends."""
    found: list[int | Flow] = []
    async with watching.subscribe("t", "f1", cursor) as viewer:
        async for item in viewer.items(seconds(total)):
            found += [item] if isinstance(item, Flow) else [entry.number for entry in item]
    return found
