"""Reads that are asked at the same time share a request, and nothing else."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from core.adapters.upstash.batches import LONGEST_BATCH, BatchedReads
from core.adapters.upstash.commands import Command, CommandError, Commands
from core.adapters.upstash.http import HttpRedis
from core.errors import UnavailableError
from tests.faulty import faulty


class Requests:
    """A client, with how many commands each of its requests had; `gate` holds them up."""

    def __init__(self, commands: Commands) -> None:
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._commands = commands

    async def execute(self, command: Command) -> Any:
        self.sizes.append(1)
        await self.gate.wait()
        return await self._commands.execute(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        self.sizes.append(len(commands))
        await self.gate.wait()
        return await self._commands.pipeline(commands)


@pytest.fixture
async def requests(gateway) -> Requests:
    client = HttpRedis(gateway.url, gateway.token)
    await client.pipeline([["HSET", f"h{n}", "n", n] for n in range(2 * LONGEST_BATCH)])
    await client.execute(["SET", "text", "not a hash"])
    return Requests(client)


def read(redis: Commands, number: int) -> asyncio.Task[Any]:
    return asyncio.ensure_future(redis.execute(["HMGET", f"h{number}", "n"]))


async def test_what_is_asked_at_once_is_one_request_and_each_gets_its_own_reply(requests: Requests):
    redis = BatchedReads(requests)
    asked = [read(redis, number) for number in range(64)]
    assert await asyncio.gather(*asked) == [[str(number)] for number in range(64)]
    assert requests.sizes == [64]


async def test_a_batch_has_an_end(requests: Requests):
    redis = BatchedReads(requests)
    asked = [read(redis, number) for number in range(LONGEST_BATCH + 3)]
    assert [reply for (reply,) in await asyncio.gather(*asked)] == [
        str(number) for number in range(LONGEST_BATCH + 3)
    ]
    assert sorted(requests.sizes) == [3, LONGEST_BATCH]


async def test_who_asks_alone_is_sent_at_once(requests: Requests):
    redis = BatchedReads(requests)
    asked = read(redis, 1)
    for _ in range(4):  # turns of the event loop, which take no time
        await asyncio.sleep(0)
    assert requests.sizes == [1]
    assert await asked == ["1"]


async def test_a_request_that_hangs_holds_nobody_up_who_comes_after_it(requests: Requests):
    redis = BatchedReads(requests)
    opened, requests.gate = requests.gate, (held := asyncio.Event())
    hanging = read(redis, 1)
    await asyncio.sleep(0.01)
    requests.gate = opened
    async with asyncio.timeout(1):
        assert await read(redis, 2) == ["2"]
    held.set()
    assert await hanging == ["1"]


async def test_what_is_asked_while_a_batch_is_away_is_gathered(requests: Requests):
    redis = BatchedReads(requests)
    requests.gate.clear()
    first = read(redis, 1)
    await asyncio.sleep(0.01)
    second = read(redis, 2)
    await asyncio.sleep(0)
    third = read(redis, 3)
    await asyncio.sleep(0.01)
    requests.gate.set()
    assert await asyncio.gather(first, second, third) == [["1"], ["2"], ["3"]]
    assert requests.sizes == [1, 2]


async def test_a_faulty_command_fails_alone(requests: Requests):
    redis = BatchedReads(requests)
    faulty_one = asyncio.ensure_future(redis.execute(["HMGET", "text", "n"]))
    others = [read(redis, number) for number in range(3)]
    assert await asyncio.gather(*others) == [["0"], ["1"], ["2"]]
    with pytest.raises(CommandError):
        await faulty_one


async def test_one_who_gives_up_leaves_the_others_their_replies(requests: Requests):
    redis = BatchedReads(requests)
    requests.gate.clear()
    gone, stays = read(redis, 1), read(redis, 2)
    await asyncio.sleep(0.01)
    gone.cancel()
    requests.gate.set()
    assert await stays == ["2"]
    assert gone.cancelled()


async def test_a_store_that_is_away_is_told_to_all_who_asked(gateway):
    async with faulty(gateway.url, lambda: "drop") as url:
        redis = BatchedReads(HttpRedis(url, gateway.token))
        failed = await asyncio.gather(*[read(redis, n) for n in range(5)], return_exceptions=True)
    assert [type(error) for error in failed] == [UnavailableError] * 5


async def test_other_commands_go_as_they_are(requests: Requests):
    redis = BatchedReads(requests)
    assert await asyncio.gather(redis.execute(["ECHO", "a"]), redis.execute(["ECHO", "b"])) == [
        "a", "b",
    ]  # fmt: skip
    assert await redis.pipeline([["ECHO", "c"], ["ECHO", "d"]]) == ["c", "d"]
    assert requests.sizes == [1, 1, 2]


def test_a_loop_that_ended_with_a_question_open_blocks_no_later_one(gateway):
    redis = BatchedReads(HttpRedis(gateway.url, gateway.token))

    async def ask_and_leave() -> None:
        redis.execute(["HMGET", "h1", "n"]).send(None)  # asked, and the loop is closed unanswered

    asyncio.run(ask_and_leave())
    with asyncio.Runner() as runner:
        assert runner.run(redis.execute(["HMGET", "h1", "none"])) == [None]
