"""Connections are cut again and again: a reader loses nothing, repeats nothing, and is in order."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from clients.crewline import AsyncCrewline
from tests.clients.network import Asked, Fate, Pass, network
from tests.clients.stories import Reading, begun, ended, read, tell
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows

SEED = 7
EVENTS_PER_CUT = 10


class Scissors:
    """Cuts the first streams of each flow, after some of the reply: even in a header."""

    def __init__(self, cuts: int, seed: int) -> None:
        self.left: dict[str, int] = {}
        self.done = 0
        self._cuts, self._rng = cuts, random.Random(seed)

    def __call__(self, asked: Asked) -> Fate:
        flow = asked.path
        left = self.left.setdefault(flow, self._cuts)
        if asked.way == "state" or not left:
            return Pass()
        self.left[flow] = left - 1
        self.done += 1
        return Pass(self._rng.randrange(200, 3000))

    def is_done(self, flow: str) -> bool:
        return self.left.get(f"/v1/flows/{flow}/events") == 0


@dataclass(frozen=True)
class Followed:
    """What a reader saw of a flow, and how many things the flow told."""

    reading: Reading
    told: int


async def followed(
    client: AsyncCrewline, flows: Flows, flow: str, least: int, scissors: Scissors
) -> Followed:
    """Read a flow that tells `least` things, and goes on until it was cut as often as it will be."""
    claim = await begun(flows, flow)
    reading = asyncio.create_task(read(client, flow))
    told = 0
    while told < least or not scissors.is_done(flow):
        told += 1
        await tell(flows, claim, [told], pause=0.01)
    await ended(flows, flow)
    return Followed(await reading, told)


@pytest.mark.parametrize(
    ("flow_count", "cuts"),
    [(20, 15), pytest.param(20, 100, marks=pytest.mark.soak)],
)
@pytest.mark.timeout(1200)
async def test_forced_cuts_lose_nothing_and_repeat_nothing(
    api: Api, flows: Flows, flow_count: int, cuts: int
):
    scissors, least = Scissors(cuts, SEED), cuts * EVENTS_PER_CUT
    token = api.auth(flows.tenant)["authorization"].removeprefix("Bearer ")
    async with network(api.url, scissors) as url, AsyncCrewline(url, token) as client:
        names = [f"f{n}" for n in range(flow_count)]
        those = (followed(client, flows, name, least, scissors) for name in names)
        all_followed = await asyncio.gather(*those)
        states = [await client.state(name) for name in names]
    assert scissors.done == flow_count * cuts
    for one, state in zip(all_followed, states, strict=True):
        reading = one.reading
        assert reading.numbers == list(range(1, len(reading.numbers) + 1))
        assert reading.counted == list(range(1, one.told + 1))
        assert [e["type"] for e in reading.events].count("RUN_FINISHED") == 1
        assert reading.events[-1]["type"] == "RUN_FINISHED"
        assert reading.state == state
