"""Wake-ups that come twice, in another order, far too late or never; launches that die half-way."""

import asyncio
import random
import signal
from pathlib import Path

import pytest
import yaml

from core.flows import Status
from tests import fault_worker, invariants, picks
from tests.crew_folders import with_crew
from tests.fault_crews import CALLS_PER_STEP, STRATEGIES, a_crew, a_launch, expected
from tests.fleet import KINDS, Place, fleet
from tests.qstash_stub import Message

# So long that a flow which waits for a lease to end fails its test: nobody dies here.
LONG_LEASE = {"CREWLINE_LEASE_SECONDS": "90", "CREWLINE_BEAT_SECONDS": "3"}
DAY_SECONDS = 86_400.0


async def undisturbed(place: Place, flows: tuple[str, ...], crew) -> None:
    """Check that no step of these flows was started twice, and no model called once too often."""
    for told in await invariants.check(place, kills=0, flows=flows):
        invariants.succeeded(told, expected(crew))
        assert len(told.asked) == CALLS_PER_STEP * len(expected(crew).steps)


async def nothing_changes(place: Place, workers, flow: str, wake_ups: int) -> None:
    """Send wake-ups to a flow that has nothing to do, and see that it stays as it is."""
    before = (await place.flows.log.head(place.flows.tenant, flow), list(place.model.asked))
    for _ in range(wake_ups):
        await place.wake_queue.enqueue(place.flows.tenant, flow)
    for _ in range(10):
        workers.tend()
        await asyncio.sleep(0.05)
    assert (await place.flows.log.head(place.flows.tenant, flow), place.model.asked) == before


@pytest.mark.parametrize("kind", KINDS)
async def test_wake_ups_four_times_in_any_order_and_after_the_end_change_nothing(
    kind: str, a_place, rng: random.Random
):
    place, crew = a_place(kind, **LONG_LEASE), a_crew("consensus")
    flows = ("f1", "f2", "f3")
    async with fleet(place, size=2) as workers:
        for flow in flows:
            await place.launch(crew, flow)
        four_times = [*flows, "f-nowhere"] * 4
        rng.shuffle(four_times)
        for flow in four_times:
            await place.wake_queue.enqueue(place.flows.tenant, flow)
            workers.tend()
            await asyncio.sleep(rng.uniform(0, 0.05))
        await workers.ended(*flows)
        await nothing_changes(place, workers, "f1", 4)
    await undisturbed(place, flows, crew)


async def test_messages_that_are_delivered_when_all_is_long_over_change_nothing(
    a_place, rng: random.Random
):
    place, crew = a_place("qstash", **LONG_LEASE), a_crew("hierarchical")
    late: list[Message] = []

    def carried(message: Message) -> list[Message]:
        late.append(message)
        return [message] * rng.choice((0, 1, 2))

    place.stub.carried = carried
    async with fleet(place, size=2) as workers:
        await place.launch(crew)
        workers.tend()
        await workers.ended()
        head = await place.flows.log.head(place.flows.tenant, "f1")
        rng.shuffle(late)
        for message in late:
            await asyncio.to_thread(place.stub.deliver, message)
        assert await place.flows.log.head(place.flows.tenant, "f1") == head
    assert not place.stub.dead
    await undisturbed(place, ("f1",), crew)


@pytest.mark.parametrize("kind", ["sqs", "qstash"])
async def test_a_flow_whose_every_wake_up_is_lost_is_carried_by_the_sweep(kind: str, a_place):
    place, crew = a_place(kind), a_crew("sequential")
    await place.flows.ledger.create(place.flows.tenant, a_launch(crew, "f1"))
    async with fleet(place) as workers:
        await workers.ended()
    invariants.succeeded((await invariants.check(place, kills=0))[0], expected(crew))


@pytest.mark.parametrize("strategy", picks.first(1, *reversed(STRATEGIES)))
async def test_of_three_workers_at_one_flow_one_runs_each_step(strategy: str, a_place):
    place, crew = a_place("sqs", **LONG_LEASE), a_crew(strategy)
    async with fleet(place, size=3) as workers:
        await place.launch(crew)
        for _ in range(5):
            await place.wake_queue.enqueue(place.flows.tenant, "f1")
        await workers.ended()
    await undisturbed(place, ("f1",), crew)


async def test_a_flow_goes_from_invocation_to_invocation_and_the_hand_over_may_be_killed(a_place):
    place, crew = a_place("sqs"), a_crew("sequential")
    async with fleet(place, trips=["woken:1", "woken:2"], invocation_seconds=1.005) as workers:
        await place.launch(crew)
        await workers.ended()
        kills = workers.kills
    (told,) = await invariants.check(place, kills)
    invariants.succeeded(told, expected(crew))
    assert kills == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_launch_that_dies_between_the_write_and_the_message_is_swept_up(
    kind: str, a_place, tmp_path: Path
):
    place, crew = a_place(kind), a_crew("hierarchical")
    a_folder_of_crews(tmp_path, crew.model_dump(mode="json"))
    tenant = place.flows.tenant
    order = place.order(trip="created:1")
    given = (tenant, tmp_path, crew.name)
    code = await place.in_a_process(fault_worker.launch_one, order, *given)
    assert code == -signal.SIGKILL
    assert not (place.stub and place.stub.published)
    (summary,) = await place.flows.log.recent(tenant, 10)
    async with fleet(place) as workers:
        await workers.ended(summary.id, seconds=10)
        again = await place.in_a_process(fault_worker.launch_one, place.order(), *given)
    assert again == 0
    assert len(await place.flows.log.recent(tenant, 10)) == 1  # the same key, the same flow
    await undisturbed(place, (summary.id,), crew)


@pytest.mark.parametrize("ahead", [-DAY_SECONDS, DAY_SECONDS])
async def test_a_worker_whose_clock_is_a_day_off_works_like_any_other(ahead: float, a_place):
    place, crew = a_place("due-set"), a_crew("consensus", time_limit_seconds=60)
    async with fleet(place, trips=["called:3"], clock_ahead=ahead) as workers:
        await place.launch(crew)
        await workers.until(lambda: workers.kills, seconds=20)
        workers.size = 2
        await workers.ended()
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))
    assert told.restarts  # the lease ran out by the store's clock, neither at once nor in a day


async def test_a_deploy_in_the_middle_of_a_flow_does_not_change_it(a_place, tmp_path: Path):
    place, before, after = a_place("sqs"), a_crew("sequential"), a_crew("consensus")
    tenant, crews = place.flows.tenant, tmp_path / "crews"
    a_folder_of_crews(crews, before.model_dump(mode="json") | {"name": "crew"}, "crew")
    order = place.order()
    await place.in_a_process(fault_worker.launch_one, order, tenant, crews, "crew")
    (old,) = await place.flows.log.recent(tenant, 10)
    place.model.hold("three")
    async with fleet(place) as workers:
        await workers.until(place.model.held.is_set)
        a_folder_of_crews(crews, after.model_dump(mode="json") | {"name": "crew"}, "crew")
        workers.kill_all()
        place.model.released.set()
        await workers.ended(old.id)
        (told,) = await invariants.check(place, workers.kills, [old.id])
        invariants.succeeded(told, expected(before))
        assert told.state.head.status is Status.SUCCEEDED


def a_folder_of_crews(folder: Path, crew: dict, name: str = "") -> None:
    """Write a crew as a deployment has it."""
    with_crew(folder, name or crew["name"], yaml.safe_dump(crew, sort_keys=False))
