"""Workers and sweeps killed around the moment at which they take what is due.

What a dead one has taken is leased to it, and comes again when that is over: neither earlier, or two
would run it, nor later. The index of tenants must say so whatever else is due meanwhile.
"""

import itertools
import signal
import time
from dataclasses import replace

import pytest

from tests import fault_worker, invariants
from tests.fault_crews import STRATEGIES, a_crew, a_launch, expected, in_a_row
from tests.fleet import Place, fleet

LEASE_SECONDS = 3.0
LEASE = {"CREWLINE_LEASE_SECONDS": str(LEASE_SECONDS), "CREWLINE_BEAT_SECONDS": "0.5"}
BACK_OFF_MS = 1500


def of_another_tenant(place: Place, name: str) -> Place:
    """Return the same place for another tenant of the same partition."""
    return replace(place, flows=replace(place.flows, tenant=f"{place.flows.tenant}-{name}"))


async def created(place: Place, *flows: str) -> None:
    """Create flows that nobody is woken for."""
    for flow in flows:
        await place.flows.ledger.create(place.flows.tenant, a_launch(in_a_row(), flow))


def began(place: Place, flow: str) -> float:
    """Return when the first model call of a flow was made."""
    return place.model.of(flow)[0].at


async def all_succeeded(place: Place, kills: int, *flows: str) -> None:
    for told in await invariants.check(place, kills, flows):
        invariants.succeeded(told, expected(in_a_row()))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("trip", ["taking", "taken"])
async def test_a_worker_killed_when_it_takes_what_is_due_costs_no_step(
    trip: str, strategy: str, a_place
):
    place, crew = a_place("due-set"), a_crew(strategy)
    await place.flows.ledger.create(place.flows.tenant, a_launch(crew, "f1"))
    async with fleet(place, trips=[f"{trip}:1"]) as workers:
        workers.tend()
        await workers.killed()
        workers.size = 2
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))
    assert told.restarts == 0


async def test_what_one_had_taken_comes_at_its_leases_end_and_what_is_new_at_once(a_place):
    """A new flow lowers the tenant's place in the index; the next look has to raise it again."""
    place = a_place("due-set", **LEASE)
    other = of_another_tenant(place, "b")
    await created(place, "f1")
    await created(other, "g1")
    async with fleet(place, trips=["taken:1"]) as workers:
        workers.tend()
        await workers.killed()
        killed = time.monotonic()
        await created(place, "f2")
        await workers.ended("f2")
        await workers.ended("f1")
        workers.place = other
        await workers.ended("g1")
    waited = {flow: began(place, flow) - killed for flow in ("f2", "f1", "g1")}
    print("begun after the kill:", waited)
    assert waited["f2"] < LEASE_SECONDS - 0.5
    for flow in ("f1", "g1"):
        assert LEASE_SECONDS - 0.5 < waited[flow] < LEASE_SECONDS + 2
    await all_succeeded(place, 1, "f1", "f2")
    await all_succeeded(other, 1, "g1")


async def test_flows_of_many_tenants_all_end_while_worker_after_worker_dies_taking(a_place):
    place = a_place("due-set")
    tenants = [place, *(of_another_tenant(place, name) for name in "bc")]
    flows = {each.flows.tenant: [f"{at}{n}" for n in range(6)] for at, each in enumerate(tenants)}
    for each in tenants:
        await created(each, *flows[each.flows.tenant])
    trips = itertools.chain(["taken:1", "taking:2", "taken:2", "taken:1", "taking:3"])
    async with fleet(place, size=2, trips=trips) as workers:
        for each in tenants:
            workers.place = each
            await workers.ended(*flows[each.flows.tenant])
        kills = workers.kills
    assert kills >= 4
    for each in tenants:
        await all_succeeded(each, kills, *flows[each.flows.tenant])


@pytest.mark.parametrize("kind", ["sqs", "qstash"])
@pytest.mark.parametrize("trip", ["taking:1", "taken:1", "woken:1"])
async def test_what_a_killed_sweep_had_taken_is_woken_by_a_later_one(kind: str, trip: str, a_place):
    place = a_place(kind)
    await created(place, "f1", "f2")
    order = place.order(trip=trip)
    code = await place.in_a_process(fault_worker.sweep_once, order, BACK_OFF_MS)
    assert code == -signal.SIGKILL
    async with fleet(place) as workers:
        await workers.ended("f1", "f2", seconds=15)
    for told in await invariants.check(place, kills=0, flows=("f1", "f2")):
        invariants.succeeded(told, expected(in_a_row()))
        assert told.restarts == 0
