"""The store, or a worker, stands still for longer than a lease while models answer: nothing is unpaid."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.adapters.upstash.http import TIMEOUT_SECONDS
from infra.local.processes import LocalError, Processes, free_port
from tests import invariants
from tests.fault_crews import expected, in_a_row
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.fleet import Fleet, Place, fleet

FLOWS = ("f1", "f2", "f3")
KEEP_ALIVE_SECONDS = 5  # of a connection to the gateway that nobody uses


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as children:
        yield children


@pytest.fixture
def gateway(servers: Processes, tmp_path: Path) -> Rest:
    try:
        return start_gateway(servers, start_valkey(servers, tmp_path, free_port()))
    except LocalError as error:
        unavailable(error)


def pid_of(servers: Processes, gateway: Rest) -> int:
    return servers.pid(f"gateway-{gateway.url.rpartition(':')[2]}") or 0


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def all_in_their_second_step(place: Place, workers: Fleet) -> None:
    place.model.holds = lambda call: call.step == "two" and call.attempt == 1
    for flow in FLOWS:
        await place.launch(in_a_row(), flow)
    await workers.until(lambda: sum(call.step == "two" for call in place.model.asked) == len(FLOWS))


async def every_answer_is_counted(place: Place) -> None:
    async with asyncio.timeout(20):
        for flow in FLOWS:
            while (await invariants.story(place, flow)).state.usage.lost_calls:  # noqa: ASYNC110 -- the store tells no event
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("seconds", [TIMEOUT_SECONDS + 1, 3 * TIMEOUT_SECONDS + 6])
async def test_answers_that_come_while_the_store_stands_still_are_counted_when_it_goes_on(
    seconds: float, a_place, gateway: Rest, servers: Processes
):
    place = a_place(rest=gateway)
    async with fleet(place) as workers:
        await all_in_their_second_step(place, workers)
        with frozen(pid_of(servers, gateway)):
            place.model.released.set()
            await asyncio.sleep(seconds)
        await workers.ended(*FLOWS)
        await every_answer_is_counted(place)
    for told in await invariants.check(place, kills=len(FLOWS), flows=FLOWS):
        invariants.succeeded(told, expected(in_a_row()))


@pytest.mark.parametrize("store_seconds", [0.0, 2 * TIMEOUT_SECONDS + 1])
async def test_answers_that_come_while_their_worker_stands_still_are_counted_when_it_goes_on(
    store_seconds: float, a_place, gateway: Rest, servers: Processes
):
    place = a_place(rest=gateway)
    async with fleet(place) as workers:
        await all_in_their_second_step(place, workers)
        (stopped,) = workers.running
        with frozen(stopped.pid or 0):
            place.model.released.set()
            workers.size = 2
            await workers.ended(*FLOWS)
            await asyncio.sleep(KEEP_ALIVE_SECONDS + 1)  # its connections are stale, too
        with frozen(pid_of(servers, gateway)):
            await asyncio.sleep(store_seconds)
        await every_answer_is_counted(place)
    for told in await invariants.check(place, kills=2, flows=FLOWS):
        invariants.succeeded(told, expected(in_a_row()))
