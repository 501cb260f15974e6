"""Workers are killed within a long step: each kill costs at most the call that it was in."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters.upstash.http import HttpRedis
from core.flows import Status
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.model_server import a_provider
from tests.replay_parts import CALLS, TOOLS, LongLoop, launch
from tests.trial_parts import state_of

PLACES = [
    *(f"asked {number}" for number in range(1, CALLS + 1)),  # while the model answers
    *(f"answered {number}" for number in range(1, CALLS)),  # when the next one is asked
    *(f"{when} thing {number}" for number in range(1, CALLS, 2) for when in ("before", "after")),
]
SEED = 7


@pytest.fixture
def model() -> Iterator[LongLoop]:
    with a_provider() as provider:
        yield LongLoop(provider)


@pytest.fixture
def flows(gateway) -> Flows:
    commands = HttpRedis(gateway.url, gateway.token)
    return over_redis(commands, gateway.url, gateway.token, keys=own_keys())


class Kills:
    """Kills workers, each time once: the model's server these that ask it, tools their own."""

    def __init__(self, folder: Path, places: list[str]) -> None:
        self._folder, self._places = folder, folder / "kills"
        self._places.mkdir()
        for place in places:
            (self._places / place).touch()

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self._places.iterdir())

    @property
    def ran(self) -> Counter[str]:
        return Counter((self._folder / "ran").read_text().splitlines())

    def at(self, place: str) -> None:
        told = self._places / place
        if told.exists():
            told.unlink()
            os.kill(int((self._folder / "pid").read_text()), signal.SIGKILL)


async def survived(flows: Flows, gateway, model: LongLoop, kills: Kills, folder: Path) -> None:
    """Run the flow to its end through the kills."""

    def before(number: int) -> None:
        kills.at(f"answered {number - 1}")  # and what the worker did with it since then
        model.asked[number] += 1
        kills.at(f"asked {number}")
        model.asked[number] -= 1

    model.before = before
    await flows.ledger.create(flows.tenant, launch("f1", tools=("look", "pay")))
    command = ["-m", "tests.replay_worker", gateway.url, gateway.token, flows.keys.prefix]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, flows.tenant, model.provider.url, str(folder)
    )
    assert await process.wait() == 0
    state = await state_of(flows, "f1")
    assert (state.head.status, state.output) == (Status.SUCCEEDED, f"Seen {TOOLS} things.")
    assert kills.left == []


@pytest.mark.timeout(110)
async def test_a_tool_that_must_not_run_twice_does_not_and_the_agent_is_told_what_nobody_knows(
    flows: Flows, gateway, model: LongLoop, tmp_path: Path
):
    model.tool = "pay"
    kills = Kills(tmp_path, ["before thing 1", "after thing 5", "asked 8", "answered 9"])
    await survived(flows, gateway, model, kills, tmp_path)
    assert max(kills.ran.values()) == 1
    assert set(kills.ran) == {
        f"pay thing {number}" for number in (3, 5, 7, 9, 11)
    }  # 1 was not begun
    told = [message["content"] for message in model.last["messages"] if message["role"] == "tool"]
    unknown = [number for number, text in enumerate(told, 1) if "nobody knows" in text]
    assert unknown == [1, 5]


@pytest.mark.timeout(110)
async def test_each_kill_costs_at_most_the_call_that_it_was_in(
    flows: Flows, gateway, model: LongLoop, tmp_path: Path
):
    places = random.Random(SEED).sample(PLACES, 8)
    kills = Kills(tmp_path, places)
    await survived(flows, gateway, model, kills, tmp_path)
    print("seed", SEED, "kills", places, "calls", dict(model.asked), "tools", dict(kills.ran))
    assert model.total <= CALLS + len(places)
    assert max(model.asked.values()) <= 1 + len(places)
