"""A flow that waits for a person: no worker is needed meanwhile, and none that dies costs the answer."""

import asyncio
import signal

import pytest

from core.flows import Status
from tests import fault_worker, invariants, picks
from tests.fault_crews import expected, in_a_row
from tests.fixtures_ports import due
from tests.fleet import KINDS, LEASE_SECONDS, Place, fleet

CREW = in_a_row(human_input=True)


async def waits(place: Place) -> bool:
    head = await place.flows.log.head(place.flows.tenant, "f1")
    return head.status is Status.WAITING


async def resumed(place: Place, trip: str = "") -> int:
    order = place.order(trip=trip)
    return await place.in_a_process(fault_worker.resume_one, order, place.flows.tenant, "f1")


@pytest.mark.parametrize("kind", picks.first(2, *KINDS))
async def test_a_flow_waits_without_any_worker_and_goes_on_when_it_is_answered(kind: str, a_place):
    place = a_place(kind)
    async with fleet(place) as workers:
        await place.launch(CREW)
        await workers.until(lambda: waits(place))
        await asyncio.sleep(2 * LEASE_SECONDS)  # a worker that is there leaves it alone
        workers.kill_all()
        assert await due(place.flows, 1000) == []
        head = await place.flows.log.head(place.flows.tenant, "f1")
        await asyncio.sleep(2 * LEASE_SECONDS)
        assert await place.flows.log.head(place.flows.tenant, "f1") == head
        assert await resumed(place) == 0
        await workers.ended()
    (told,) = await invariants.check(place, kills=0)
    invariants.succeeded(told, expected(CREW))
    assert len(told.values("waiting")) == len(told.values("resumed")) == 1


@pytest.mark.parametrize("trip", ["committed@two:1", "moved:1"])
async def test_a_worker_killed_as_its_flow_begins_to_wait_asks_the_person_once(trip: str, a_place):
    place = a_place("due-set")
    async with fleet(place, trips=[trip]) as workers:
        await place.launch(CREW)
        await workers.until(lambda: workers.kills)
        await workers.until(lambda: waits(place))
        assert await resumed(place) == 0
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(CREW))
    assert len(told.values("waiting")) == 1


@pytest.mark.parametrize("kind", picks.first(1, *reversed(KINDS)))
async def test_an_answer_whose_sender_died_before_it_woke_a_worker_is_heard(kind: str, a_place):
    place = a_place(kind)
    async with fleet(place) as workers:
        await place.launch(CREW)
        await workers.until(lambda: waits(place))
        assert await resumed(place, trip="moved:1") == -signal.SIGKILL
        await workers.ended(seconds=10)
    (told,) = await invariants.check(place, kills=0)
    invariants.succeeded(told, expected(CREW))
