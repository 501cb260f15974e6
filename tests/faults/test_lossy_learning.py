"""Learning where a fifth of Redis' replies is lost after execution, and everybody acts at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.errors import UnavailableError
from core.learning.feedback import Feedback
from tests.contract.retraining_parts import TASK, Shop
from tests.faulty import a_share_dropped, faulty
from tests.fixtures_ports import own_keys
from tests.fixtures_servers import Rest

T = TypeVar("T")
WRITERS, BATCHES, SIZE, SHARE = 4, 6, 5, 0.2
WHO = "somebody-{}"  # long enough that a model does not hold it by chance


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Ask again also when the patient client has given up."""
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(0.01)


def batch(writer: int, number: int) -> list[Feedback]:
    return [
        Feedback(
            f"{writer}-{number}-{n}",
            {"word": f"w{writer} n{number} {n}"},
            "pay",
            WHO.format(writer),
        )
        for n in range(SIZE)
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_feedback_is_kept_and_learnt_once_and_what_is_forgotten_stays_so(
    gateway: Rest, seed: int
):
    draw = random.Random(seed)
    async with faulty(gateway.url, a_share_dropped(SHARE, seed)) as url:
        log = UpstashFeedbackLog(RetryingClient(HttpRedis(url, gateway.token)), own_keys())
        shop = Shop(log)

        async def write(writer: int) -> None:
            for number in range(BATCHES):
                given = batch(writer, number)
                await insist(lambda given=given: shop.say(given))
                await asyncio.sleep(draw.random() / 50)

        async def retrain() -> None:
            for _ in range(4):
                await insist(shop.retrain)
                await asyncio.sleep(draw.random() / 20)

        await asyncio.gather(*(write(n) for n in range(WRITERS)), retrain(), retrain())
        await insist(lambda: log.forget(shop.tenant, TASK, WHO.format(0)))
        while await insist(lambda: log.to_forget(shop.tenant, TASK)):
            await insist(shop.retrain)
        await insist(shop.retrain)
        kept = await insist(shop.ids)
        served = await insist(shop.served)
    expected = [one for n in range(1, WRITERS) for b in range(BATCHES) for one in batch(n, b)]
    assert sorted(kept) == sorted(one.id for one in expected)
    assert len(served.learner.kept()) == len(expected)
    pointer = await Shop(
        UpstashFeedbackLog(RetryingClient(HttpRedis(gateway.url, gateway.token)), log._keys),
        shop.blobs, tenant=shop.tenant,
    ).pointer()  # fmt: skip
    assert set(shop.objects()) == pointer.names() | {"pointer"}
    assert shop.objects(WHO.format(0).encode()) == []
