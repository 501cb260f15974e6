"""Webhooks while dispatchers are killed, frozen and cut off, and receivers fail: each at least once, in order."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.adapters.upstash.http import HttpRedis
from tests.faulty import a_share_dropped, faulty
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.fixtures_servers import Rest
from tests.webhook_dispatcher import dispatcher
from tests.webhook_parts import OK, OOPS, WHOLE, Answer, Posted, Receiver, Story, receiving, until

FLOWS, KILLS = 3, 5
PATIENCE_SECONDS = 100


def own_flows(gateway: Rest) -> Flows:
    """Flows in keys of the test's own, so that no other test's webhooks are due here."""
    commands = HttpRedis(gateway.url, gateway.token)
    return over_redis(commands, gateway.url, gateway.token, keys=own_keys())


def capricious(seed: int) -> Answer:
    """A receiver that fails now and then: refuses, hangs up, or accepts and the answer is lost."""
    rng = random.Random(seed)
    return lambda _: rng.choice([OK, OK, OK, OOPS, b"", b"HTTP/1.1 2"])


async def stories(flows: Flows, receiver: Receiver) -> None:
    """Have flows go through all there is, side by side."""

    async def one(name: str) -> None:
        await (await Story(flows, name).launched(receiver.url)).whole()

    await asyncio.gather(*(one(f"f{n}") for n in range(FLOWS)))


def of(receiver: Receiver, flow: str) -> list[Posted]:
    """The first time that each thing was told of a flow."""
    told = [post for post in receiver.posts if post.body["kickoff_id"] == flow]
    first: dict[str, Posted] = {}
    for post in told:
        first.setdefault(post.id, post)
    return list(first.values())


async def until_all_is_told(receiver: Receiver) -> None:
    every = [f"f{n}" for n in range(FLOWS)]
    await until(
        lambda: all(len(of(receiver, flow)) == len(WHOLE) for flow in every), PATIENCE_SECONDS
    )


def check(flows: Flows, receiver: Receiver) -> None:
    """Every flow was told whole, first things first, and each POST is signed."""
    for n in range(FLOWS):
        first = of(receiver, f"f{n}")
        assert [post.kind for post in first] == WHOLE
        assert [post.number for post in first] == sorted(post.number for post in first)
    assert all(post.signed_for(flows.tenant) for post in receiver.posts)
    bodies: dict[str, bytes] = {}
    for post in receiver.posts:  # told again, it is the same
        assert bodies.setdefault(post.id, post.content) == post.content


def monotonic(receiver: Receiver) -> bool:
    """Whether nothing was told after something later, repetitions included."""
    for n in range(FLOWS):
        numbers = [p.number for p in receiver.posts if p.body["kickoff_id"] == f"f{n}"]
        if numbers != sorted(numbers):
            return False
    return True


@asynccontextmanager
async def a_process(
    gateway, flows: Flows, receiver: Receiver
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A dispatcher, until it is killed on leaving."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.webhook_dispatcher",
        gateway.url, gateway.token, flows.keys.prefix, flows.tenant, receiver.url,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_any_moment_it_tells_the_rest_when_it_is_back(gateway, seed: int):
    rng = random.Random(seed)
    flows = own_flows(gateway)
    async with receiving(capricious(seed)) as receiver:
        telling = asyncio.create_task(stories(flows, receiver))
        for _ in range(KILLS):
            async with a_process(gateway, flows, receiver):
                enough = len(receiver.posts) + rng.randrange(1, 8)
                await until(lambda enough=enough: len(receiver.posts) >= enough, PATIENCE_SECONDS)
        async with a_process(gateway, flows, receiver):
            await asyncio.gather(telling, until_all_is_told(receiver))
    print("seed", seed, "kills", KILLS, "posts", len(receiver.posts))
    check(flows, receiver)
    assert monotonic(receiver)


@pytest.mark.parametrize("seed", [1, 2])
async def test_replies_of_the_store_that_get_lost_lose_nothing(gateway, seed: int):
    over = asyncio.Event()
    flows = own_flows(gateway)
    async with (
        receiving(capricious(seed)) as receiver,
        faulty(gateway.url, a_share_dropped(0.2, seed)) as url,
    ):
        sending = dispatcher(url, gateway.token, flows.keys.prefix, flows.tenant, receiver.url)
        serving = asyncio.create_task(sending.loop(over.is_set).run_forever(over))
        await asyncio.gather(stories(flows, receiver), until_all_is_told(receiver))
        over.set()
        await serving
    print("seed", seed, "posts", len(receiver.posts))
    check(flows, receiver)
    assert monotonic(receiver)


async def test_one_that_was_frozen_longer_than_its_hold_is_not_believed(gateway):
    flows = own_flows(gateway)
    async with receiving() as receiver, a_process(gateway, flows, receiver) as frozen:
        telling = asyncio.create_task(stories(flows, receiver))
        await until(lambda: len(receiver.posts) >= FLOWS, PATIENCE_SECONDS)
        frozen.send_signal(signal.SIGSTOP)
        async with a_process(gateway, flows, receiver):
            await asyncio.gather(telling, until_all_is_told(receiver))
        told = len(receiver.posts)
        frozen.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.0)
    check(flows, receiver)
    assert len(receiver.posts) - told <= FLOWS  # at most the one it was about to tell, of each
