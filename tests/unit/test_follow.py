"""Following a log whose subscription loses messages, goes deaf or dies."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from core import events, follow
from core.adapters.memory import MemoryFlows
from core.crews.ledger import Claim, Write
from core.flows import Batch
from tests.fixtures_ports import a_launch

LEASE_MS = 60_000


class Lossy(MemoryFlows):
    """A log whose subscriptions hand on only what `heard` lets through; counts them."""

    def __init__(self, heard: Callable[[int], bool | None]) -> None:
        super().__init__()
        self.heard, self.subscriptions = heard, 0

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        self.subscriptions += 1
        async with super().live(tenant, flow) as live:
            yield _Filtered(live, self.heard)


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


async def written(log: MemoryFlows, count: int) -> None:
    step = (await log.state("t", "f1")).steps[0]
    claim = await log.claim("t", "f1", step, owner="w", lease_ms=LEASE_MS, events=[])
    assert isinstance(claim, Claim)
    for seq in range(1, count + 1):
        await asyncio.sleep(0.005)
        await log.emit(claim, seq, LEASE_MS, Write(events.custom("count", seq)))


async def seen(log: MemoryFlows, total: int) -> list[int]:
    loop = asyncio.get_running_loop()
    end = loop.time() + 10
    numbers: list[int] = []
    async with aclosing(follow.follow(log, "t", "f1", 0, lambda: end - loop.time())) as batches:
        async for batch in batches:
            numbers += [entry.number for entry in batch]
            if len(numbers) >= total:
                break
    return numbers


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(follow, "RENEW_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("heard", "renewed"),
    [
        pytest.param(lambda number: number % 3 == 0, False, id="two of three messages lost"),
        pytest.param(lambda number: False, True, id="half-open: nothing arrives"),  # noqa: ARG005
        pytest.param(lambda number: None if number % 7 == 0 else True, True, id="cut"),
    ],
)
async def test_nothing_is_lost_and_nothing_repeated(heard, renewed: bool):
    log = Lossy(heard)
    await log.create("t", a_launch())
    writing = asyncio.create_task(written(log, 30))
    assert await seen(log, 31) == list(range(1, 32))
    await writing
    assert (log.subscriptions > 1) is renewed


async def test_a_long_log_is_read_in_pages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow, "PAGE", 4)
    log = MemoryFlows()
    await log.create("t", a_launch())
    await written(log, 11)
    assert await seen(log, 12) == list(range(1, 13))
