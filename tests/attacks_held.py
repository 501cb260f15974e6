"""Attacks by answers that are held: streams, and polls with `Prefer: wait=N`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from tests.attacker import BRIEF, Attacker, remaining

HELD = 100  # as many as one subject may have
PATH = "/v1/flows/{}".format
UP_TO_DATE = {"if-none-match": "*"}  # has the state, whichever it is: else no poll is held
HOLDING_SECONDS = 0.5  # they are held by then; who comes later finds the new state

Attack = Callable[[Attacker], Coroutine[Any, Any, None]]


def polls(count: int, wait: int) -> Attack:
    """So many held polls of one flow at once, again and again."""
    return streams(PATH, count, prefer=f"wait={wait}", **UP_TO_DATE)


def streams(path: Callable[[str], str], count: int, **headers: str) -> Attack:
    """So many streams or held polls of one flow at once; those refused come back at once."""

    async def attack(attacker: Attacker) -> None:
        async with client(attacker) as http:
            flow = await launched(http)
            async with asyncio.timeout(remaining(attacker)):
                await asyncio.gather(
                    *(again(attacker, http, path(flow), headers) for _ in range(count))
                )

    return attack


async def waking(attacker: Attacker) -> None:
    """Polls of one flow after the other that are held, and all answered at once when it changes."""
    headers = {"prefer": "wait=25", **UP_TO_DATE}
    async with client(attacker) as http, asyncio.timeout(remaining(attacker)):
        while True:
            flow = await launched(http)
            async with asyncio.TaskGroup() as held:
                for _ in range(HELD):
                    held.create_task(once(attacker, http, PATH(flow), headers))
                await asyncio.sleep(HOLDING_SECONDS)
                await http.post(PATH(flow) + "/cancel")


def client(attacker: Attacker) -> httpx.AsyncClient:
    return attacker.client(limits=httpx.Limits(max_connections=None))


async def launched(http: httpx.AsyncClient) -> str:
    asked = {"crew": "research_brief", "inputs": BRIEF}
    return (await http.post("/v1/flows", json=asked)).json()["id"]


async def again(attacker: Attacker, http: httpx.AsyncClient, path: str, headers: Any) -> None:
    while True:
        await once(attacker, http, path, headers)


async def once(attacker: Attacker, http: httpx.AsyncClient, path: str, headers: Any) -> None:
    """Note the status as soon as it is there; what was held has its own."""
    try:
        async with http.stream("GET", path, headers=headers) as answer:
            held = "held " if answer.headers.get("preference-applied") else ""
            attacker.note(held + str(answer.status_code))
            await answer.aread()
    except httpx.HTTPError as error:
        attacker.note(type(error).__name__)
        await asyncio.sleep(0.05)
