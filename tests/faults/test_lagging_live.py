"""Following a flow where reads lag behind messages, and messages are lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from core.adapters.memory import MemoryFlows
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.errors import NotFoundError
from core.flows import Flow
from core.flows.hub import Hub
from core.flows.subscription import FollowPolicy, snapshot_at
from tests.fixtures_ports import Flows, a_launch, in_memory, over_redis
from tests.lagging import LaggingLog, LossyLog
from tests.live import FIRST_EVENTS, begun

EVENTS, GAP_SECONDS = 30, 0.01
LOST = FIRST_EVENTS + 12  # the number of the event whose message is lost
LAGS_MS = (50, 200, 500)
POLICY = FollowPolicy(silence=2.0, first=0.2)
MOST_READS = 25  # growing pauses up to 0.2 s in half a second, and what no lag costs


@dataclass
class Store:
    """Flows that are written to, and a log of them that is behind."""

    flows: Flows
    log: Any


@asynccontextmanager
async def in_memory_without_a_leader(lag_ms: int) -> AsyncGenerator[Store]:
    flows = in_memory()
    assert isinstance(flows.log, MemoryFlows)
    yield Store(flows, LaggingLog(flows.log, lag_ms / 1000, leader=False))


@asynccontextmanager
async def over_the_gateway(lag_ms: int, rough_gateway: Any) -> AsyncGenerator[Store]:
    url, token = rough_gateway
    flows = over_redis(HttpRedis(url, token), url, token)
    reader = RetryingClient(HttpRedis(url, token))  # a process of its own, with its own sync token
    rough_gateway.adjust(lag_ms=lag_ms)
    yield Store(flows, LossyLog(reader, HttpPubSub(url, token)))


@pytest.fixture(params=["memory", "gateway"])
def store(request: pytest.FixtureRequest):
    if request.param == "memory":
        return in_memory_without_a_leader
    rough_gateway = request.getfixturevalue("rough_gateway")
    return lambda lag_ms: over_the_gateway(lag_ms, rough_gateway)


async def seen(hub: Hub, flows: Flows, cursor: str | None = None) -> list[int | Flow]:
    """The numbers of the events that a reader gets, and snapshots between them."""
    found = list[int | Flow]()
    async with hub.subscribe(flows.tenant, "f1", cursor) as reader:
        async for item in reader.items(lambda: 20):
            found += [item] if isinstance(item, Flow) else [entry.number for entry in item]
    return found


async def written(store: Store, *, joins_after: int) -> tuple[list[int | Flow], int]:
    """Write a flow which a reader joins after so many events; return what that saw, and the end."""
    writer = await begun(store.flows, "f1")
    if isinstance(store.log, LaggingLog):
        store.log.watch(store.flows.tenant, "f1")
    await asyncio.sleep(0.6)  # a reader knows that the flow is there
    reading = None
    for n in range(EVENTS):
        if n == joins_after:
            reading = asyncio.create_task(seen(Hub(store.log, POLICY), store.flows))
        await writer.tell()
        await asyncio.sleep(GAP_SECONDS)
    await writer.end()
    assert reading is not None
    last = (await store.flows.log.head(store.flows.tenant, "f1", fresh=True)).last_event
    async with asyncio.timeout(10):
        return await reading, last


@pytest.mark.parametrize("lag_ms", LAGS_MS)
async def test_who_joins_a_live_flow_sees_every_event_once_and_no_snapshot(store, lag_ms: int):
    async with store(lag_ms) as place:
        found, last = await written(place, joins_after=EVENTS // 3)
        assert found == list(range(1, last + 1))
        assert place.log.asked <= MOST_READS


@pytest.mark.parametrize("lag_ms", LAGS_MS)
async def test_a_lost_message_is_filled_in_however_late_the_log_shows_it(store, lag_ms: int):
    async with store(lag_ms) as place:
        place.log.heard = lambda number: number != LOST
        found, last = await written(place, joins_after=0)
        assert found == list(range(1, last + 1))
        assert place.log.asked <= MOST_READS


async def test_who_joins_as_the_flow_ends_hears_of_the_end_at_once(rough_gateway):
    async with over_the_gateway(500, rough_gateway) as place:
        writer = await begun(place.flows, "f1")
        await asyncio.sleep(0.6)
        await writer.end()
        began = asyncio.get_running_loop().time()
        found = await seen(Hub(place.log, FollowPolicy()), place.flows)
        last = (await place.flows.log.head(place.flows.tenant, "f1", fresh=True)).last_event
        assert found == list(range(1, last + 1))
        assert asyncio.get_running_loop().time() - began < 5  # not after 15 s of silence


async def test_what_was_launched_a_moment_ago_is_found_and_what_never_was_is_not(rough_gateway):
    async with over_the_gateway(500, rough_gateway) as place:
        await place.flows.ledger.create(place.flows.tenant, a_launch("f1"))
        assert (await place.log.head(place.flows.tenant, "f1")).last_event == 2
        await place.flows.ledger.create(place.flows.tenant, a_launch("f2"))
        assert (await place.log.snapshot(place.flows.tenant, "f2")).id == "f2"
        with pytest.raises(NotFoundError):
            await place.log.head(place.flows.tenant, "f3")


async def test_a_snapshot_is_never_older_than_what_was_heard(rough_gateway, monkeypatch):
    monkeypatch.setattr("core.flows.subscription.BUFFER_EVENTS", 3)
    async with over_the_gateway(200, rough_gateway) as place:
        writer = await begun(place.flows, "f1")
        await asyncio.sleep(0.3)
        numbers = list[int]()
        hub = Hub(place.log, POLICY)
        async with hub.subscribe(place.flows.tenant, "f1", "no cursor at all") as reader:
            items = reader.items(lambda: 10)
            for _ in range(6):  # ten events a look, of which the buffer keeps three
                for _ in range(10):
                    await writer.tell()
                await asyncio.sleep(0.05)
                item = await anext(items)
                numbers.append(item.head.last_event if isinstance(item, Flow) else item[-1].number)
            await items.aclose()
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == FIRST_EVENTS + 60


async def test_what_was_announced_is_read_again_until_a_replica_shows_it(monkeypatch):
    monkeypatch.setattr("core.flows.subscription.BUFFER_EVENTS", 3)
    async with in_memory_without_a_leader(200) as place:
        tenant, writer = place.flows.tenant, await begun(place.flows, "f1")
        place.log.watch(tenant, "f1")
        await asyncio.sleep(0.3)
        hub = Hub(place.log, POLICY)
        first = asyncio.create_task(seen(hub, place.flows))
        await asyncio.sleep(0.05)
        for _ in range(10):
            await writer.tell()
        newest = await place.flows.log.head(tenant, "f1")
        cursor = newest.cursor(newest.last_event - 6)  # neither in the buffer nor yet in a replica
        second = asyncio.create_task(seen(hub, place.flows, cursor))
        state = await snapshot_at(place.log, tenant, "f1", newest.last_event)
        assert state.head.last_event >= newest.last_event
        await writer.end()
        last = (await place.flows.log.head(tenant, "f1")).last_event
        assert await second == list(range(newest.last_event - 5, last + 1))
        await first
