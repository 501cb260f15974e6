"""A receiver that hangs holds up nothing that is for another one, of the same tenant either."""

import asyncio
import time

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.memory import MemoryOutbox
from core.due_loop import Idle
from core.webhooks.dispatch import DispatchParts
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.dispatcher import ROOM, WebhookDispatcher
from core.webhooks.hosts import SHARE, HostShares, SlowHostError
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp.webhook_bodies import render
from tests.fixtures_ports import Flows, in_memory
from tests.webhook_parts import OOPS, SECRET, Receiver, Story, receiving, until

POST_SECONDS = 20.0
POLICY = DispatchTimes(delays=(0.1,) * 5, lease=30.0, poll=(0.01, 0.05), put_off=0.5)
SOON = Idle(shortest=0.01, longest=0.05)


def sending(
    flows: Flows, *receivers: Receiver, post_seconds: float = POST_SECONDS
) -> WebhookDispatcher:
    outbox = MemoryOutbox(flows.ledger)  # pyright: ignore[reportArgumentType] -- it is in memory
    targets = Targets({flows.tenant: tuple(receiver.url for receiver in receivers)})
    sender = HttpWebhookSender(timeout_seconds=post_seconds)
    parts = DispatchParts(outbox, flows.log, sender, targets, Signer((SECRET,)), render, POLICY)
    return WebhookDispatcher(parts, SOON)


async def launched(flows: Flows, flow: str, receiver: Receiver) -> None:
    story = await Story(flows, flow).launched(receiver.url)
    await story.finished("find", "drop")
    await story.failed()


async def test_forty_flows_whose_receiver_hangs_hold_up_no_flow_of_their_tenant():
    flows = in_memory()
    async with receiving(lambda _: None) as hanging, receiving() as quick:
        for number in range(40):
            await launched(flows, f"hangs{number}", hanging)
        loop = sending(flows, hanging, quick).loop(lambda: False)
        serving = asyncio.create_task(loop.run_forever(asyncio.Event()))
        await until(lambda: hanging.connections >= SHARE)
        await launched(flows, "quick", quick)
        began = time.monotonic()
        await until(lambda: quick.kinds == ["step", "task", "crew"], POST_SECONDS)
        assert time.monotonic() - began < POST_SECONDS / 2
        assert hanging.connections == SHARE
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("reply", [OOPS, None], ids=["refuses", "hangs"])
async def test_a_person_is_asked_once_and_at_once_where_another_address_is_dead(
    reply: bytes | None,
):
    flows, over = in_memory(), asyncio.Event()
    async with receiving(lambda _: reply) as dead, receiving() as person:
        kinds = {"task": f"{dead.url}/task", "human_input": f"{person.url}/human_input"}
        story = await Story(flows).launched(None, **kinds, crew=f"{person.url}/crew")
        await story.finished("find", "drop")
        await story.finished("write", "Ah")
        await story.waits("write.review.1", "Ah")
        serving = asyncio.create_task(
            sending(flows, dead, person, post_seconds=0.3).loop(over.is_set).run_forever(over)
        )
        await until(lambda: bool(person.posts))
        assert dead.connections < POLICY.tries
        assert person.kinds == ["human_input"]
        await story.answered("write.review.1", approve=False, feedback="more water")
        await story.finished("write.2", "Oh")
        await story.waits("write.review.2", "Oh")
        await until(lambda: len(person.posts) == 2)
        await story.answered("write.review.2", approve=True)
        await story.ended()
        await until(lambda: "crew" in person.kinds, 30)
        over.set()
        await serving
    assert person.kinds == ["human_input", "human_input", "crew"]
    assert len({post.id for post in person.posts}) == 3


async def test_a_host_that_answers_gets_all_that_is_for_it():
    flows, over = in_memory(), asyncio.Event()
    async with receiving() as receiver:
        for number in range(4 * ROOM.per_tenant):
            await launched(flows, f"f{number}", receiver)
        serving = asyncio.create_task(sending(flows, receiver).loop(over.is_set).run_forever(over))
        await until(lambda: len(receiver.posts) >= 3 * 4 * ROOM.per_tenant)
        over.set()
        await serving
    assert len({post.id for post in receiver.posts}) == len(receiver.posts)


async def test_a_place_is_waited_for_as_long_as_others_are_answered_in_time():
    hosts = HostShares(share=2, in_time_seconds=0.3)

    async def post(seconds: float) -> None:
        async with hosts.place("t", "h", 443):
            await asyncio.sleep(seconds)

    await asyncio.gather(*(post(0.02) for _ in range(20)))
    hanging = [asyncio.create_task(post(30)) for _ in range(2)]
    await asyncio.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(SlowHostError):
        await post(0)
    assert 0.2 < time.monotonic() - began < 1.0
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(SlowHostError):
            await post(0)
    assert time.monotonic() - began < 0.2  # at once, now that it is known to be slow
    async with hosts.place("t", "other", 443), hosts.place("t2", "h", 443):
        pass  # another host, and another tenant's
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await post(0)
    assert not hosts._hosts
