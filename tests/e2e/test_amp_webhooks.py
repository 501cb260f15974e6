"""Webhooks from a flow's log to a service that listens, over the gateway and real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.memory import MemoryFlows, MemoryOutbox
from core.adapters.upstash.commands import CommandError, RetryingClient
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.outbox import UpstashOutbox
from core.due_loop import Due, Idle
from core.errors import UnavailableError
from core.flows import Flow
from core.json_text import compact
from core.webhooks.dispatch import DispatchParts
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.dispatcher import WebhookDispatcher
from core.webhooks.events import Notification
from core.webhooks.outbox import Delivery, Outbox
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp.webhook_bodies import render
from tests.fixtures_ports import Flows, in_memory, over_redis, own_keys
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

QUICK = DispatchTimes(delays=(0.01, 0.01), lease=5.0, poll=(0.01, 0.05), poll_waiting=30.0)
IDLE = Idle(shortest=0.01, longest=0.05)


@pytest.fixture(params=["memory", "upstash"])
def flows(request: pytest.FixtureRequest) -> Flows:
    if request.param == "memory":
        return in_memory()
    rest = request.getfixturevalue("gateway")
    return over_redis(HttpRedis(rest.url, rest.token), rest.url, rest.token, keys=own_keys())


@pytest.fixture
def outbox(flows: Flows, request: pytest.FixtureRequest) -> Outbox:
    if isinstance(flows.ledger, MemoryFlows):
        return MemoryOutbox(flows.ledger)
    rest = request.getfixturevalue("gateway")
    return UpstashOutbox(RetryingClient(HttpRedis(rest.url, rest.token)), flows.keys)


@pytest.fixture
def dispatcher(flows: Flows, outbox: Outbox):
    """A dispatcher that may call a receiver."""

    def made(receiver: Receiver, idle: Idle = IDLE, **changes: Any) -> WebhookDispatcher:
        targets, signer = Targets({flows.tenant: (receiver.url,)}), Signer((SECRET,))
        sender = HttpWebhookSender(timeout_seconds=2.0)
        parts = DispatchParts(outbox, flows.log, sender, targets, signer, render, QUICK)
        return WebhookDispatcher(replace(parts, **changes), idle)

    return made


async def until_all_is_told(sending: WebhookDispatcher, rounds: int = 200) -> None:
    """Send until no flow is left in the outbox."""
    for _ in range(rounds):
        await sending.deliver_once()
        await asyncio.sleep(0.02)
        if (await sending.parts.outbox.lease(1, 1, 1)).next_ms is None:
            return


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
        serving = asyncio.create_task(dispatcher(receiver).loop(over.is_set).run_forever(over))
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
        serving = [
            asyncio.create_task(sending.loop(over.is_set).run_forever(over)) for _ in range(2)
        ]
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
    assert compact({"type": "x", "v": post.body["error"]})


ASLEEP = Idle(shortest=0.01, longest=60.0)


@asynccontextmanager
async def running(sending: WebhookDispatcher) -> AsyncIterator[asyncio.Event]:
    """The dispatcher as a process that stays runs it; yields what wakes it."""
    stopped = asyncio.Event()
    loop = sending.loop(stopped.is_set)
    serving = asyncio.create_task(loop.run_forever(stopped))
    try:
        yield loop.woken
    finally:
        stopped.set()
        await asyncio.wait_for(serving, 5)


async def waits_for_a_person(story: Story, receiver: Receiver) -> None:
    await story.launched(None, crew=f"{receiver.url}/crew", task=f"{receiver.url}/task")
    await story.finished("find", "drop")
    await story.finished("write", "Ah")
    await story.waits("write.review.1", "Ah")


async def test_what_a_persons_answer_leads_to_is_sent_at_once(flows: Flows, dispatcher):
    story = Story(flows)
    async with receiving() as receiver:
        await waits_for_a_person(story, receiver)
        async with running(dispatcher(receiver, ASLEEP)) as woken:
            await until(lambda: receiver.kinds == ["task", "crew"])
            await asyncio.sleep(0.2)  # it sleeps: nothing is due until poll_waiting is over
            await story.answered("write.review.1", approve=True)
            woken.set()
            await until(lambda: receiver.kinds == ["task", "crew", "task"], seconds=2)


async def test_that_a_waiting_flow_was_cancelled_is_sent_at_once(flows: Flows, dispatcher):
    story = Story(flows)
    async with receiving() as receiver:
        await waits_for_a_person(story, receiver)
        sending = dispatcher(receiver)
        await sending.deliver_once()
        assert receiver.kinds == ["task", "crew"]
        await story.cancelled()
        assert await sending.deliver_once() == 1
    assert receiver.posts[-1].body["status"] == "error"
    assert receiver.posts[-1].body["error"] == "cancelled by request"


async def test_an_answer_that_comes_while_the_wait_is_being_told_is_not_missed(
    flows: Flows, dispatcher
):
    story, answering = Story(flows), list[asyncio.Task[None]]()

    def answer(post: Posted) -> bytes:
        if post.kind == "crew" and not answering:
            said = story.answered("write.review.1", approve=True)
            answering.append(asyncio.get_running_loop().create_task(said))
        return OK

    async with receiving(answer) as receiver:
        await waits_for_a_person(story, receiver)
        async with running(dispatcher(receiver, Idle(0.01, 0.5))):
            await until(lambda: receiver.kinds == ["task", "crew", "task"], seconds=3)


async def test_a_store_that_refuses_does_not_end_the_dispatcher(
    flows: Flows, outbox: Outbox, dispatcher
):
    refusals: list[Exception] = [
        CommandError("ERR max daily request limit exceeded. Limit: 10000, Usage: 10000."),
        UnavailableError("the store is away"),
        RuntimeError("nobody foresaw this"),
    ]

    class Refusing:
        renew, save, remove = outbox.renew, outbox.save, outbox.remove

        async def lease(self, *arguments: int) -> Due[Delivery]:
            if refusals:
                raise refusals.pop()
            return await outbox.lease(*arguments)

    async with receiving() as receiver:
        await (await Story(flows).launched(receiver.url)).whole()
        async with running(dispatcher(receiver, Idle(0.01, 0.05, 0.01), outbox=Refusing())):
            await until(lambda: receiver.kinds == WHOLE)


async def test_a_flow_of_which_nothing_can_be_made_holds_nobody_up_and_is_given_up(
    flows: Flows, dispatcher
):
    def broken(flow: Flow, notification: Notification) -> dict[str, Any]:
        if flow.id == "bad":
            raise ValueError(notification)
        return render(flow, notification)

    async with receiving() as receiver:
        for name in ("bad", "good"):
            await (await Story(flows, name).launched(receiver.url)).whole()
        await until_all_is_told(dispatcher(receiver, render=broken))
    assert receiver.kinds == WHOLE
    assert {post.body["kickoff_id"] for post in receiver.posts} == {"good"}
