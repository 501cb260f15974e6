"""Webhooks from a flow's log to a service that listens, over the gateway and real sockets."""

import asyncio
import base64
import json

import pytest

from core.adapters.memory import MemoryFlows
from core.adapters.memory_outbox import MemoryOutbox
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.outbox import UpstashOutbox
from core.adapters.webhooks import HttpPoster
from core.deliver import Deliverer, Pace, deliver_due, keep_delivering
from core.flows import events
from core.webhook_targets import Targets
from core.webhooks import Signer
from tests.fixtures_ports import TTL_SECONDS, Flows, in_memory, over_redis
from tests.webhook_parts import (
    META,
    OK,
    OOPS,
    SECRET,
    WHOLE,
    Posted,
    Receiver,
    Story,
    receiving,
    until,
)

QUICK = Pace(again=(0.01, 0.01), hold=5.0, look=(0.01, 0.05), look_waiting=0.02, idle=(0.01, 0.05))


@pytest.fixture(params=["memory", "upstash"])
def flows(request: pytest.FixtureRequest) -> Flows:
    if request.param == "memory":
        return in_memory()
    rest = request.getfixturevalue("gateway")
    return over_redis(HttpRedis(rest.url, rest.token), rest.url, rest.token)


@pytest.fixture
def outbox(flows: Flows, request: pytest.FixtureRequest):
    if isinstance(flows.ledger, MemoryFlows):
        return MemoryOutbox(flows.ledger)
    rest = request.getfixturevalue("gateway")
    return UpstashOutbox(RetryingClient(HttpRedis(rest.url, rest.token)), TTL_SECONDS)


@pytest.fixture
def deliverer(flows: Flows, outbox):
    """A deliverer that may call a receiver, which keeps to this flow's tenant."""

    class OneTenant:
        """The outbox of one test: other tests' tenants are theirs."""

        take, keep, leave = outbox.take, outbox.keep, outbox.leave

        async def tenants(self) -> list[str]:
            return [flows.tenant] if flows.tenant in await outbox.tenants() else []

    def made(receiver: Receiver, pace: Pace = QUICK) -> Deliverer:
        targets = Targets({flows.tenant: (receiver.url,)})
        poster = HttpPoster(timeout_seconds=2.0)
        return Deliverer(OneTenant(), flows.log, poster, targets, Signer((SECRET,)), pace)

    return made


async def until_all_is_told(parts: Deliverer, rounds: int = 200) -> None:
    for _ in range(rounds):
        await deliver_due(parts)
        await asyncio.sleep(0.02)
        if not await parts.outbox.tenants() or not await left(parts):
            return


async def left(parts: Deliverer) -> bool:
    """Whether a flow is still in the outbox: a look in ten seconds' time would find it."""
    (tenant,) = await parts.outbox.tenants()
    for _ in range(10):
        if due := await parts.outbox.take(tenant, 10, 1):
            return bool(due)
        await asyncio.sleep(0.02)
    return False


async def test_a_flow_is_told_from_beginning_to_end(flows: Flows, deliverer):
    async with receiving() as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.whole()
        await until_all_is_told(deliverer(receiver))
    assert receiver.kinds == WHOLE
    assert len({post.id for post in receiver.posts}) == len(WHOLE)
    assert all(post.signed_for(flows.tenant) for post in receiver.posts)
    assert not receiver.posts[0].signed_for("rival")
    assert {json.dumps(post.body["meta"]) for post in receiver.posts} == {json.dumps(META)}


async def test_what_happens_is_told_while_the_flow_runs_and_once(flows: Flows, deliverer):
    async with receiving() as receiver:
        story, parts = await Story(flows).launched(receiver.url), deliverer(receiver)
        assert await deliver_due(parts) == 1
        assert receiver.posts == []
        await story.finished("find", "drop")
        await asyncio.sleep(0.1)
        await deliver_due(parts)
        assert receiver.kinds == ["step", "task"]
        await asyncio.sleep(0.1)
        await deliver_due(parts)
        assert receiver.kinds == ["step", "task"]


async def test_one_that_is_not_accepted_is_tried_again_with_the_same_id_and_holds_up_the_rest(
    flows: Flows, deliverer
):
    refusals = [OOPS, b""]

    def answer(post: Posted) -> bytes:
        return refusals.pop() if post.kind == "task" and refusals else OK

    async with receiving(answer) as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.finished("find", "drop")
        await story.failed()
        await until_all_is_told(deliverer(receiver))
    assert receiver.kinds == ["step", "task", "task", "task", "crew"]
    assert len({post.id for post in receiver.posts}) == 3


async def test_an_address_that_is_given_up_holds_up_nothing_more(flows: Flows, deliverer):
    async with receiving(lambda post: OOPS if post.kind == "step" else OK) as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        await until_all_is_told(deliverer(receiver))
    step, *others = [kind for kind in WHOLE if kind == "step"], *WHOLE
    assert len(step) == 3
    assert receiver.kinds == ["step", "step", *others]  # three tries, then one each


async def test_a_host_that_was_taken_off_the_list_is_not_called(flows: Flows, deliverer):
    async with receiving() as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        parts = deliverer(Receiver(lambda _: OK, url="http://127.0.0.1:9"))
        await until_all_is_told(parts)
    assert receiver.connections == 0


async def test_when_it_is_to_stop_the_rest_stays_due(flows: Flows, deliverer):
    async with receiving() as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        parts = deliverer(receiver)
        await deliver_due(parts, stopped=lambda: len(receiver.posts) >= 2)
        assert receiver.kinds == WHOLE[:2]
        await until_all_is_told(parts)
    assert receiver.kinds == WHOLE


async def test_a_process_that_stays_tells_each_thing_as_it_comes(flows: Flows, deliverer):
    over = asyncio.Event()
    async with receiving() as receiver:
        serving = asyncio.create_task(keep_delivering(deliverer(receiver), over.is_set))
        story = await Story(flows).launched(receiver.url)
        await story.finished("find", "drop")
        await until(lambda: len(receiver.posts) >= 2)
        await story.failed()
        await until(lambda: len(receiver.posts) >= 3)
        over.set()
        await serving
    assert receiver.kinds == ["step", "task", "crew"]


async def test_two_deliverers_tell_each_thing_once(flows: Flows, deliverer):
    over = asyncio.Event()
    async with receiving() as receiver:
        parts = deliverer(receiver)
        serving = [asyncio.create_task(keep_delivering(parts, over.is_set)) for _ in range(2)]
        story = await Story(flows).launched(receiver.url)
        await story.whole()
        await until(lambda: len(receiver.posts) >= len(WHOLE))
        over.set()
        await asyncio.gather(*serving)
    assert receiver.kinds == WHOLE


async def test_texts_that_no_utf8_has_do_not_stop_the_telling(flows: Flows, deliverer):
    async with receiving() as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.failed("half a \ud83d")
        await until_all_is_told(deliverer(receiver))
    (post,) = receiver.posts
    assert post.body["error"].startswith("half a ")
    assert base64.b64encode(post.content)
    assert events.encode({"type": "x", "v": post.body["error"]})
