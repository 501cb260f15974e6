"""Webhooks from a flow's log to a service that listens, over the gateway and real sockets."""

import asyncio
import base64
import json

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.memory import MemoryFlows, MemoryOutbox
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.outbox import UpstashOutbox
from core.flows import events
from core.webhooks.dispatcher import RetryPolicy, WebhookDispatcher
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp_webhooks import render
from tests.fixtures_ports import Flows, in_memory, over_redis
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

QUICK = RetryPolicy(
    delays=(0.01, 0.01), lease=5.0, poll=(0.01, 0.05), poll_waiting=0.02, idle=(0.01, 0.05)
)


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
    return UpstashOutbox(RetryingClient(HttpRedis(rest.url, rest.token)))


@pytest.fixture
def dispatcher(flows: Flows, outbox):
    """A dispatcher that may call a receiver and keeps to this flow's tenant."""

    class OneTenant:
        """The outbox of one test: other tests' tenants are theirs."""

        lease, save, remove = outbox.lease, outbox.save, outbox.remove

        async def tenants(self) -> list[str]:
            return [flows.tenant] if flows.tenant in await outbox.tenants() else []

    def made(receiver: Receiver, policy: RetryPolicy = QUICK) -> WebhookDispatcher:
        targets = Targets({flows.tenant: (receiver.url,)})
        sender = HttpWebhookSender(timeout_seconds=2.0)
        signer = Signer((SECRET,))
        return WebhookDispatcher(OneTenant(), flows.log, sender, targets, signer, render, policy)

    return made


async def until_all_is_told(sending: WebhookDispatcher, rounds: int = 200) -> None:
    for _ in range(rounds):
        await sending.deliver_once()
        await asyncio.sleep(0.02)
        if not await sending.outbox.tenants() or not await left(sending):
            return


async def left(sending: WebhookDispatcher) -> bool:
    """Whether a flow is still in the outbox: a look in ten seconds' time would find it."""
    (tenant,) = await sending.outbox.tenants()
    for _ in range(10):
        if leased := await sending.outbox.lease(tenant, 10, 1):
            return bool(leased)
        await asyncio.sleep(0.02)
    return False


async def test_a_flow_is_told_from_beginning_to_end(flows: Flows, dispatcher):
    async with receiving() as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.whole()
        await until_all_is_told(dispatcher(receiver))
    assert receiver.kinds == WHOLE
    assert len({post.id for post in receiver.posts}) == len(WHOLE)
    assert all(post.signed_for(flows.tenant) for post in receiver.posts)
    assert not receiver.posts[0].signed_for("rival")
    assert {json.dumps(post.body["meta"]) for post in receiver.posts} == {json.dumps(META)}


async def test_what_happens_is_told_while_the_flow_runs_and_once(flows: Flows, dispatcher):
    async with receiving() as receiver:
        story, sending = await Story(flows).launched(receiver.url), dispatcher(receiver)
        assert await sending.deliver_once() == 1
        assert receiver.posts == []
        await story.finished("find", "drop")
        await asyncio.sleep(0.1)
        await sending.deliver_once()
        assert receiver.kinds == ["step", "task"]
        await asyncio.sleep(0.1)
        await sending.deliver_once()
        assert receiver.kinds == ["step", "task"]


async def test_one_that_is_not_accepted_is_tried_again_with_the_same_id_and_holds_up_the_rest(
    flows: Flows, dispatcher
):
    refusals = [OOPS, b""]

    def answer(post: Posted) -> bytes:
        return refusals.pop() if post.kind == "task" and refusals else OK

    async with receiving(answer) as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.finished("find", "drop")
        await story.failed()
        await until_all_is_told(dispatcher(receiver))
    assert receiver.kinds == ["step", "task", "task", "task", "crew"]
    assert len({post.id for post in receiver.posts}) == 3


async def test_an_address_that_is_given_up_holds_up_nothing_more(flows: Flows, dispatcher):
    async with receiving(lambda post: OOPS if post.kind == "step" else OK) as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        await until_all_is_told(dispatcher(receiver))
    step, *others = [kind for kind in WHOLE if kind == "step"], *WHOLE
    assert len(step) == 3
    assert receiver.kinds == ["step", "step", *others]  # three tries, then one each


async def test_a_host_that_was_taken_off_the_list_is_not_called(flows: Flows, dispatcher):
    async with receiving() as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        sending = dispatcher(Receiver(lambda _: OK, url="http://127.0.0.1:9"))
        await until_all_is_told(sending)
    assert receiver.connections == 0


async def test_when_it_is_to_stop_the_rest_stays_due(flows: Flows, dispatcher):
    async with receiving() as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        sending = dispatcher(receiver)
        await sending.deliver_once(stopped=lambda: len(receiver.posts) >= 2)
        assert receiver.kinds == WHOLE[:2]
        await until_all_is_told(sending)
    assert receiver.kinds == WHOLE


async def test_a_process_that_stays_tells_each_thing_as_it_comes(flows: Flows, dispatcher):
    over = asyncio.Event()
    async with receiving() as receiver:
        serving = asyncio.create_task(dispatcher(receiver).run_forever(over.is_set))
        story = await Story(flows).launched(receiver.url)
        await story.finished("find", "drop")
        await until(lambda: len(receiver.posts) >= 2)
        await story.failed()
        await until(lambda: len(receiver.posts) >= 3)
        over.set()
        await serving
    assert receiver.kinds == ["step", "task", "crew"]


async def test_two_dispatchers_tell_each_thing_once(flows: Flows, dispatcher):
    over = asyncio.Event()
    async with receiving() as receiver:
        sending = dispatcher(receiver)
        serving = [asyncio.create_task(sending.run_forever(over.is_set)) for _ in range(2)]
        story = await Story(flows).launched(receiver.url)
        await story.whole()
        await until(lambda: len(receiver.posts) >= len(WHOLE))
        over.set()
        await asyncio.gather(*serving)
    assert receiver.kinds == WHOLE


async def test_texts_that_no_utf8_has_do_not_stop_the_telling(flows: Flows, dispatcher):
    async with receiving() as receiver:
        story = await Story(flows).launched(receiver.url)
        await story.failed("half a \ud83d")
        await until_all_is_told(dispatcher(receiver))
    (post,) = receiver.posts
    assert post.body["error"].startswith("half a ")
    assert base64.b64encode(post.content)
    assert events.encode({"type": "x", "v": post.body["error"]})
