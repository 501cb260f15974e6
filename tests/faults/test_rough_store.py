"""The way to the store goes wrong before or after a command is executed; the store itself dies."""

import asyncio
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from core.adapters.upstash.http import HttpRedis
from core.errors import UnavailableError
from infra.local.processes import LocalError, Processes, free_port, is_listening
from infra.local.valkey import is_ready, server_command
from tests import invariants
from tests.fault_crews import STRATEGIES, a_crew, expected
from tests.fixtures_ports import whole_log
from tests.fixtures_servers import Redis as Server
from tests.fixtures_servers import Rest, start_gateway, unavailable
from tests.fleet import Place, fleet
from tests.rough_network import KINDS, Faults, rough_network

ALONE = [*itertools.product(KINDS, (False, True))]
READY_SECONDS = 20


async def through(a_place, store: Rest, faults: Faults) -> None:
    """Run a flow of each strategy with two workers behind the faults."""
    crews = {f"f-{name}": a_crew(name) for name in STRATEGIES}
    async with rough_network(store.url, faults) as url:
        place: Place = a_place("due-set", UPSTASH_REDIS_REST_URL=url)
        async with fleet(place, size=2) as workers:
            for flow, crew in crews.items():
                await place.launch(crew, flow)
            await workers.ended(*crews)
            assert not workers.kills
    print("faults:", dict(faults.done))
    # A hang may cost a worker its lease, so that steps begin anew although nobody was killed.
    stories = await invariants.check(place, 2 * faults.done.total(), crews)
    for told in stories:
        invariants.succeeded(told, expected(crews[told.state.id]))
    assert sum(count for (kind, _), count in faults.done.items() if kind)


async def test_faults_of_all_kinds_before_and_after_execution_change_no_flow(
    a_place, store: Rest, rng: random.Random
):
    await through(a_place, store, Faults(rng, hangs=1))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
async def test_faults_of_all_kinds_change_no_flow_under_any_seed(a_place, store: Rest, seed: int):
    print("seed:", seed)
    await through(a_place, store, Faults(random.Random(seed), hangs=4, share=0.25))


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "after"), ALONE)
async def test_a_fault_of_one_kind_alone_changes_no_flow(
    a_place, store: Rest, kind: str, after: bool, rng: random.Random
):
    await through(a_place, store, Faults(rng, kinds=(kind,), when=(after,), hangs=6))


class Durable:
    """A store of the test's own that syncs every write, with its gateway."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder, self._port = processes, folder, free_port()
        self._name = f"durable-{self._port}"
        self.start()
        self.rest = start_gateway(processes, Server("127.0.0.1", self._port))

    def start(self) -> None:
        command = server_command(self._folder, self._port, durable=True)
        self._processes.start(self._name, command)
        self._processes.wait_until(self._name, lambda: is_ready(self._port), READY_SECONDS)

    def kill(self) -> None:
        self._processes.kill(self._name)
        assert not is_listening(self._port)


@pytest.fixture
def durable(processes: Processes, tmp_path: Path) -> Durable:
    try:
        return Durable(processes, tmp_path / "durable")
    except LocalError as error:
        unavailable(error)


async def seen(place: Place, flow: str, into: dict[int, str]) -> None:
    """Keep every event that a reader gets to see; no number ever has another event."""
    while True:
        try:
            entries = await whole_log(place.flows, flow)
        except UnavailableError:
            entries = []
        for entry in entries:
            assert into.setdefault(entry.number, entry.json) == entry.json
        await asyncio.sleep(0.01)


async def killed_stores(place: Place, durable: Durable, rng: random.Random, kills: int) -> None:
    crew, events = a_crew("hierarchical"), dict[int, str]()
    place.model.seconds = 0.15
    async with fleet(place, size=2) as workers:
        await place.launch(crew)
        workers.tend()
        reader = asyncio.create_task(seen(place, "f1", events))
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            await asyncio.to_thread(durable.kill)
            await asyncio.sleep(rng.uniform(0, 0.3))
            await asyncio.to_thread(durable.start)
        await workers.ended()
        await asyncio.sleep(0.1)
        reader.cancel()
        (stopped,) = await asyncio.gather(reader, return_exceptions=True)
        assert isinstance(stopped, asyncio.CancelledError), stopped
    (told,) = await invariants.check(place, 2 * kills)
    invariants.succeeded(told, expected(crew))
    logged = dict(zip(told.numbers, told.events, strict=True))
    assert {number: json.loads(text) for number, text in events.items()} == logged


async def test_a_store_that_is_killed_and_started_again_loses_no_event(
    a_place, durable: Durable, rng: random.Random
):
    await killed_stores(a_place("due-set", rest=durable.rest), durable, rng, kills=2)


@pytest.mark.soak
async def test_a_store_that_is_killed_again_and_again_loses_no_event(
    a_place, durable: Durable, rng: random.Random
):
    await killed_stores(a_place("due-set", rest=durable.rest), durable, rng, kills=6)


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param({"lag_ms": 200}, id="reads lag"),
        pytest.param({"refuse": "busy", "share": 0.3}, id="a share is refused"),
        pytest.param({"refuse": "monthly-requests"}, id="the quota is exhausted for a while"),
        pytest.param({"refuse": "wrong-token"}, id="the token is rotated"),
    ],
)
async def test_a_store_that_lags_or_refuses_for_a_while_changes_no_flow(
    a_place, rough_gateway, conditions: dict[str, Any]
):
    await HttpRedis(rough_gateway.url, rough_gateway.token).execute(["FLUSHALL"])
    place: Place = a_place("due-set", rest=rough_gateway)
    crews = {f"f-{name}": a_crew(name) for name in STRATEGIES}
    async with fleet(place, size=2) as workers:
        for flow, crew in crews.items():
            await place.launch(crew, flow)
        rough_gateway.adjust(**conditions)
        await asyncio.sleep(2)
        rough_gateway.adjust(refuse=None)
        await workers.ended(*crews)
        assert not workers.kills
    for told in await invariants.check(place, len(crews), crews):
        invariants.succeeded(told, expected(crews[told.state.id]))
