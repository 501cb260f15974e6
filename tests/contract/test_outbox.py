"""What every Outbox does. Each test runs over memory and over Redis with both clients."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from core.adapters.memory import MemoryFlows, MemoryOutbox
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.outbox import UpstashOutbox
from core.adapters.upstash.sdk import SdkRedis
from core.crews.ledger import FencedError
from core.webhooks.outbox import Delivery, DeliveryCursor, Outbox, WebhookKind
from tests.fixtures_ports import DEFAULT_KEYS, Flows, a_launch, in_memory, over_redis

LEASE_MS = 30_000


@dataclass(frozen=True)
class Leasing:
    """An outbox and the flows it is filled by."""

    flows: Flows
    outbox: Outbox

    async def launched(self, *names: str) -> None:
        for name in names:
            launch = a_launch(name, webhooks={"crew": "https://h"})
            await self.flows.ledger.create(self.flows.tenant, launch)

    async def leased(self, limit: int = 10, lease_ms: int = LEASE_MS) -> list[Delivery]:
        return await self.outbox.lease(self.flows.tenant, limit, lease_ms)

    async def saved(self, delivery: Delivery, delay_ms: int) -> None:
        await self.outbox.save(self.flows.tenant, delivery, delay_ms)


@pytest.fixture(params=["memory", "upstash-sdk", "upstash-http"])
def post(request: pytest.FixtureRequest) -> Leasing:
    if request.param == "memory":
        flows = in_memory()
        assert isinstance(flows.ledger, MemoryFlows)
        return Leasing(flows, MemoryOutbox(flows.ledger))
    rest = request.getfixturevalue("gateway")
    client = SdkRedis if request.param == "upstash-sdk" else HttpRedis
    commands = client(rest.url, rest.token)
    flows = over_redis(commands, rest.url, rest.token)
    return Leasing(flows, UpstashOutbox(RetryingClient(commands)))


async def test_a_flow_with_webhooks_is_in_the_outbox_from_its_launch(post: Leasing):
    await post.launched("f1")
    await post.flows.ledger.create(post.flows.tenant, a_launch("quiet"))
    assert post.flows.tenant in await post.outbox.tenants()
    assert await post.leased() == [Delivery("f1", 1)]


async def test_what_is_taken_is_nobody_elses_while_it_is_held(post: Leasing):
    await post.launched("f1", "f2", "f3")
    first, second = await post.leased(2), await post.leased(2)
    assert sorted(delivery.flow for delivery in [*first, *second]) == ["f1", "f2", "f3"]
    assert await post.leased() == []


async def test_of_ten_that_take_at_once_each_flow_goes_to_one(post: Leasing):
    await post.launched(*(f"f{n}" for n in range(5)))
    taken = await asyncio.gather(*(post.leased() for _ in range(10)))
    assert sorted(delivery.flow for some in taken for delivery in some) == [
        f"f{n}" for n in range(5)
    ]


async def test_how_far_a_flow_is_told_is_there_for_the_next(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased()
    far = replace(
        delivery,
        cursor=DeliveryCursor(12, 2),
        failures=3,
        disabled_kinds=frozenset({WebhookKind.STEP, WebhookKind.TASK}),
        wait_ms=700,
    )
    await post.saved(far, 0)
    assert await post.leased() == [replace(far, epoch=2)]


async def test_a_flow_that_is_kept_is_due_after_its_delay(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased()
    await post.saved(delivery, 150)
    assert await post.leased() == []
    await asyncio.sleep(0.2)
    assert len(await post.leased()) == 1


async def test_whoever_held_it_too_long_is_fenced(post: Leasing):
    await post.launched("f1")
    (slow,) = await post.leased(lease_ms=1)
    await asyncio.sleep(0.02)
    (quick,) = await post.leased()
    with pytest.raises(FencedError):
        await post.saved(replace(slow, cursor=DeliveryCursor(1, 1)), 0)
    with pytest.raises(FencedError):
        await post.outbox.remove(post.flows.tenant, slow)
    await post.saved(quick, 0)


async def test_a_write_sent_again_is_the_same_write(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased()
    for _ in range(2):
        await post.saved(delivery, 0)
    (delivery,) = await post.leased()
    for _ in range(2):
        await post.outbox.remove(post.flows.tenant, delivery)


async def test_a_flow_that_left_does_not_come_again(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased(lease_ms=1)
    await post.outbox.remove(post.flows.tenant, delivery)
    await asyncio.sleep(0.02)
    assert await post.leased() == []
    with pytest.raises(FencedError):
        await post.saved(delivery, 0)


async def test_the_outbox_is_in_one_slot_and_empty_in_the_end(cluster_gateway):
    rest = cluster_gateway
    commands = HttpRedis(rest.url, rest.token)
    post = Leasing(over_redis(commands, rest.url, rest.token), UpstashOutbox(commands))
    await post.launched("f1", "f2")
    one, two = await post.leased()
    await post.saved(one, 0)
    await post.outbox.remove(post.flows.tenant, two)
    (one,) = await post.leased()
    await post.outbox.remove(post.flows.tenant, one)
    assert await post.leased() == []
    assert await commands.execute(["KEYS", f"{DEFAULT_KEYS.outbox(post.flows.tenant)}*"]) == []
    assert post.flows.tenant not in await post.outbox.tenants()
