"""What every Outbox does. Each test runs over memory and over Redis with both clients, also where it lags."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from core.adapters.upstash.commands import Command, Commands
from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import FencedError
from core.flows import Status, events
from core.webhooks.outbox import Delivery, DeliveryCursor, News, Outbox, WebhookKind
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys
from tests.fixtures_servers import Rest

LEASE_MS = 30_000


@dataclass(frozen=True)
class Leasing:
    """An outbox and the flows it is filled by."""

    flows: Flows

    @property
    def outbox(self) -> Outbox:
        return self.flows.outbox

    async def launched(self, *names: str) -> None:
        for name in names:
            launch = a_launch(name, webhooks={"crew": "https://h"})
            await self.flows.ledger.create(self.flows.tenant, launch)

    async def leased(self, limit: int = 10, lease_ms: int = LEASE_MS) -> list[Delivery]:
        found = await self.outbox.lease(limit, limit, lease_ms)
        return [delivery for _, delivery in found.items]

    async def saved(self, delivery: Delivery, delay_ms: int, news: News | None = None) -> None:
        await self.outbox.save(self.flows.tenant, delivery, delay_ms, news)

    async def moved(self, to: Status, flow: str = "f1") -> int:
        """Change the flow's status; return the number of its last event."""
        tenant, ledger = self.flows.tenant, self.flows.ledger
        state = await ledger.state(tenant, flow)
        change = events.custom("x", 1)
        await ledger.transition(tenant, flow, to, status_epoch=state.status_epoch, events=change)
        return (await ledger.state(tenant, flow)).head.last_event

    async def next_ms(self) -> int | None:
        return (await self.outbox.lease(1, 1, 1)).next_ms


class Counted:
    """Commands, counted."""

    def __init__(self, commands: Commands) -> None:
        self._commands, self.sent = commands, 0

    async def execute(self, command: Command) -> Any:
        self.sent += 1
        return await self._commands.execute(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        self.sent += len(commands)
        return await self._commands.pipeline(commands)


@pytest.fixture
def post(flows: Flows) -> Leasing:
    return Leasing(flows)


def over(commands: Commands, rest: Rest) -> Leasing:
    """An outbox in keys of the test's own."""
    return Leasing(over_redis(commands, rest.url, rest.token, keys=own_keys()))


async def test_a_flow_with_webhooks_is_in_the_outbox_from_its_launch(post: Leasing):
    await post.launched("f1")
    await post.flows.ledger.create(post.flows.tenant, a_launch("quiet"))
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
        asked=DeliveryCursor(9, 4),
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


async def test_a_lease_that_is_renewed_goes_on_and_what_was_saved_with_it_is_kept(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased(lease_ms=100)
    far = replace(delivery, cursor=DeliveryCursor(3, 1))
    await post.outbox.renew(post.flows.tenant, far, 300)
    await asyncio.sleep(0.15)
    assert await post.leased() == []
    await asyncio.sleep(0.25)
    assert await post.leased() == [replace(far, epoch=2)]


async def test_what_changes_after_a_lease_was_renewed_is_still_for_who_has_it(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased(lease_ms=1)
    await post.outbox.renew(post.flows.tenant, delivery, LEASE_MS)
    await asyncio.sleep(0.02)
    await post.moved(Status.WAITING)
    assert await post.leased() == []


@pytest.mark.parametrize("to", [Status.WAITING, Status.CANCELLED])
async def test_a_flow_whose_status_changes_is_due_at_once(post: Leasing, to: Status):
    await post.launched("f1")
    (delivery,) = await post.leased()
    await post.saved(delivery, 3_600_000)
    await post.moved(to)
    assert await post.leased() == [replace(delivery, epoch=2)]


async def test_what_changes_while_somebody_has_the_flow_is_for_them_and_then_due_soon(
    post: Leasing,
):
    await post.launched("f1")
    (delivery,) = await post.leased()
    before = (await post.flows.log.head(post.flows.tenant, "f1")).last_event
    after = await post.moved(Status.WAITING)
    assert await post.leased() == []
    await post.saved(delivery, 3_600_000, News(before, 50))
    await asyncio.sleep(0.1)
    again = await post.leased()
    assert [each.flow for each in again] == ["f1"]
    await post.saved(again[0], 3_600_000, News(after, 50))
    await asyncio.sleep(0.1)
    assert await post.leased() == []


async def test_it_says_when_the_next_flow_is_due(post: Leasing):
    assert await post.next_ms() is None
    await post.launched("f1", "f2")
    (first, second) = await post.leased(lease_ms=5000)
    await post.saved(first, 400)
    assert 200 < (await post.next_ms() or 0) <= 400
    await post.outbox.remove(post.flows.tenant, first)
    await asyncio.sleep(0.45)
    assert 3000 < (await post.next_ms() or 0) <= 5000
    await post.outbox.remove(post.flows.tenant, second)
    await asyncio.sleep(0.01)


async def test_it_is_not_looked_at_before_that_however_many_flows_wait(post: Leasing):
    """More of them than a look reads of one tenant."""
    await post.launched(*(f"f{number}" for number in range(120)))
    while leased := await post.leased(200, 60_000):
        await asyncio.gather(*(post.saved(delivery, 60_000) for delivery in leased))
    next_ms = await post.next_ms()
    assert next_ms is not None
    assert next_ms > 50_000


async def test_tenants_take_turns_and_none_takes_more_than_its_share(post: Leasing):
    for tenant in ("a", "b", "c"):
        for n in range(6):
            launch = a_launch(f"{tenant}{n}", webhooks={"crew": "https://h"})
            await post.flows.ledger.create(tenant, launch)
    turns = [await post.outbox.lease(4, 2, LEASE_MS) for _ in range(3)]
    assert [Counter(tenant for tenant, _ in turn.items) for turn in turns] == [
        Counter(a=2, b=2),
        Counter(c=2, a=2),
        Counter(b=2, c=2),
    ]
    rest = await post.outbox.lease(100, 100, LEASE_MS)
    assert Counter(tenant for tenant, _ in rest.items) == Counter(a=2, b=2, c=2)


async def test_a_look_costs_as_many_commands_at_any_number_of_tenants(gateway: Rest):
    counted = Counted(HttpRedis(gateway.url, gateway.token))
    post = over(counted, gateway)
    costs: list[int] = []
    for n in range(301):
        launch = a_launch(f"f{n}", webhooks={"crew": "https://h"})
        await post.flows.ledger.create(f"t{n}", launch)
        while (await post.outbox.lease(100, 100, 3_600_000)).items:
            pass
        if n in (0, 300):
            counted.sent = 0
            found = await post.outbox.lease(100, 100, 3_600_000)
            assert found.items == []
            costs.append(counted.sent)
    assert costs == [2, 2]  # the time, and the tenant that is next


async def test_the_outbox_is_in_one_slot_and_empty_in_the_end(cluster_gateway: Rest):
    commands = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    post = over(commands, cluster_gateway)
    await post.launched("f1", "f2")
    one, two = await post.leased()
    await post.saved(one, 0)
    await post.outbox.remove(post.flows.tenant, two)
    (one,) = await post.leased()
    await post.outbox.remove(post.flows.tenant, one)
    assert await post.leased() == []
    keys = post.flows.keys
    assert await commands.execute(["KEYS", f"{keys.outbox(post.flows.tenant)}*"]) == []
    index = keys.outbox_index(keys.tag(post.flows.tenant))
    assert await commands.execute(["EXISTS", index]) == 0


async def test_a_deleted_flow_leaves_the_outbox_whoever_holds_it(post: Leasing):
    await post.launched("f1")
    (delivery,) = await post.leased()
    await post.moved(Status.CANCELLED)
    await post.flows.ledger.delete(post.flows.tenant, "f1")
    with pytest.raises(FencedError):
        await post.saved(delivery, 0)
    await post.outbox.remove(post.flows.tenant, delivery)
    assert await post.leased() == []
