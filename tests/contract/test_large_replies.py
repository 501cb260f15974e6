"""Large replies of the store are read beside the event loop, as large bodies of requests are."""

import asyncio
import json
import time
from typing import Any

import pytest

from core.adapters.upstash.http import HttpRedis
from core.json_text import compact_bytes
from tests.fixtures_ports import own_keys
from tests.fixtures_servers import Rest
from tests.pace import longest_turn

CELLS = [f"import_mapping|map|Mapper|customer-{number}|openai/gpt-4o" for number in range(5_000)]
SUMS = json.dumps({f"sum_{number}": number for number in range(25)})


def seconds_of_loads(reply: list[str]) -> float:
    body = compact_bytes({"result": reply})
    began = time.thread_time()
    json.loads(body)
    return time.thread_time() - began


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_roll_up_of_two_megabytes_takes_no_turn_of_the_loop_to_read(
    gateway: Rest, at_once: bool
):
    redis = HttpRedis(gateway.url, gateway.token)
    key = own_keys().spend("t", "2026-11-25", hours=True)
    for at in range(0, len(CELLS), 1_000):
        fields = [text for cell in CELLS[at : at + 1_000] for text in (cell, SUMS)]
        await redis.execute(["HSET", key, *fields])
    read: list[str | int] = ["HGETALL", key]
    turns = list[float]()
    for _ in range(3):
        asked: Any = redis.pipeline([read]) if at_once else redis.execute(read)
        reading = asyncio.create_task(asked)
        turns.append(await longest_turn(reading))
    found = await reading
    await redis.execute(["DEL", key])
    [found] = found if at_once else [found]
    assert dict(zip(found[::2], found[1::2], strict=True)) == dict.fromkeys(CELLS, SUMS)
    assert min(turns) < min(seconds_of_loads(found) for _ in range(3)) / 2
