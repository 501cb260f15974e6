"""A worker that may stay, over the real due set and real wake-ups."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.upstash.commands import CommandError
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.wake import RedisWakeListener
from core.crews.clock import NoLimit, StoppableClock
from core.crews.crew_runner import CrewRunner, Session, StepFailedError, StepTask
from core.crews.ledger import RunLedger
from core.crews.timing import Timing
from core.crews.wakeups import WakeListener
from core.crews.worker import Worker
from core.due_loop import Due, Idle, Room
from core.errors import UnavailableError
from core.flows import Status
from functions import sweep
from functions._worker import worker_loop
from infra.local.processes import LocalError, Processes, free_port
from tests.fixtures_ports import Flows, a_launch, over_redis
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.worker_parts import a_crew
from tests.workers import worker_over

COMMANDS_OF_A_LOOK = 2  # TIME and one ZRANGE: test_redis_keys.py
TIMING = Timing(lease_seconds=0.6, beat_seconds=0.2, step_seconds=1)


class Quick(CrewRunner):
    """Answers at once."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        return {"output": work.prompt.step, "raw": work.prompt.step}


class Deaf:
    """A listener that hears nothing."""

    def listen(self) -> contextlib.AbstractAsyncContextManager[AsyncIterator[object]]:
        raise UnavailableError("no subscriptions here")


class Hangs(Quick):
    """Never answers one tenant."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.hanging = tenant, 0

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        if work.tenant == self.tenant:
            self.hanging += 1
            await asyncio.Event().wait()
        return await super().run(work, session)


class LeavesThreads(Quick):
    """Fails one tenant's steps at once, and leaves a thread at work for each until `ended`."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.left, self.ended = tenant, list[str](), False

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        if work.tenant == self.tenant:
            self.left.append(work.flow)
            raise StepFailedError("it took too long")
        return await super().run(work, session)

    def is_at_work(self, tenant: str, flow: str) -> bool:
        return not self.ended and tenant == self.tenant and flow in self.left


class Slow(Quick):
    """Takes a moment; tells whose steps it began, and how many ran at once at most."""

    def __init__(self) -> None:
        self.began, self.now, self.most = list[str](), 0, 0

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        self.began.append(work.tenant)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.05)
        self.now -= 1
        return await super().run(work, session)


class Counted:
    """A ledger that counts looks, of which the first ones fail."""

    def __init__(self, ledger: RunLedger, fails: int = 0) -> None:
        self._ledger, self._fails, self.takes = ledger, fails, 0

    async def lease(self, *given: Any, **more: Any) -> Due[str]:
        self.takes += 1
        if self.takes <= self._fails:
            raise [CommandError, UnavailableError, KeyError][self.takes % 3]("ERR max requests")
        return await self._ledger.lease(*given, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@pytest.fixture
def gateway(processes: Processes, tmp_path: Path) -> Rest:
    """A store without the flows that other tests leave behind: workers look at all of them."""
    try:
        return start_gateway(processes, start_valkey(processes, tmp_path, free_port()))
    except LocalError as error:
        unavailable(error)


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


def a_worker(flows: Flows, runner: CrewRunner | None = None) -> Worker:
    return worker_over(flows.ledger, flows.calls, flows.wake_queue, runner or Quick(), TIMING)


async def ended_after(flows: Flows, flow: str) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        while not (await flows.log.head(flows.tenant, flow)).status.terminal:  # noqa: ASYNC110 -- the store tells no event
            await asyncio.sleep(0.005)
    return time.monotonic() - began


def launch(flow: str) -> Any:
    return a_launch(flow, definition=a_crew().model_dump(mode="json"))


@contextlib.asynccontextmanager
async def serving(worker: Worker, listener: WakeListener, room: int = 4) -> AsyncIterator[None]:
    clock = StoppableClock(stop_seconds=1)
    task = asyncio.create_task(worker_loop.serve(worker, listener, clock, Room.shared(room)))
    try:
        yield
    finally:
        clock.stop()
        async with asyncio.timeout(20):
            await task


def heard(gateway: Rest) -> RedisWakeListener:
    return RedisWakeListener(HttpPubSub(gateway.url, gateway.token))


async def test_a_wake_up_is_heard_at_once_however_long_the_worker_was_idle(
    flows: Flows, gateway: Rest
):
    async with serving(a_worker(flows), heard(gateway)):
        await asyncio.sleep(0.5)
        await flows.ledger.create(flows.tenant, launch("f1"))
        await flows.wake_queue.enqueue(flows.tenant, "f1")
        took = await ended_after(flows, "f1")
    print(f"{took * 1000:.0f} ms from the wake-up to the end")
    assert took < 2


async def test_a_worker_that_hears_nothing_finds_what_is_due(flows: Flows):
    async with serving(a_worker(flows), Deaf()):
        await flows.ledger.create(flows.tenant, launch("f1"))
        await ended_after(flows, "f1")
    assert (await flows.log.head(flows.tenant, "f1")).status is Status.SUCCEEDED


async def test_an_idle_worker_asks_the_store_ten_times_a_minute_at_most(
    flows: Flows, gateway: Rest
):
    counted = Counted(flows.ledger)
    for number in range(30):  # tenants that had a flow
        await flows.ledger.create(f"t{number}", launch("f1"))
    worker = replace(a_worker(flows), ledger=counted)
    async with serving(worker, heard(gateway), room=60):
        for number in range(30):
            await ended_after(replace(flows, tenant=f"t{number}"), "f1")
        await asyncio.sleep(3 * TIMING.lease_seconds)  # what was leased is looked at once more
        before = counted.takes
        await asyncio.sleep(2)
        assert counted.takes == before
    assert 60 / worker_loop.LISTENING.longest * COMMANDS_OF_A_LOOK <= 10


async def test_a_worker_outlives_whatever_a_look_raises(
    flows: Flows, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker_loop, "POLLING", Idle(longest=0.1, after_error=0.05))
    broken = Counted(flows.ledger, fails=4)
    async with serving(replace(a_worker(flows), ledger=broken), Deaf()):
        await flows.ledger.create(flows.tenant, launch("f1"))
        await ended_after(flows, "f1")
    assert broken.takes > 4


async def test_a_tenant_whose_models_hang_holds_no_other_tenant_up(flows: Flows, gateway: Rest):
    hangs = Hangs("big")
    worker = a_worker(flows, hangs)
    async with serving(worker, heard(gateway)):
        for number in range(8):
            await flows.ledger.create("big", launch(f"f{number}"))
            await flows.wake_queue.enqueue("big", f"f{number}")
        async with asyncio.timeout(20):
            while hangs.hanging < 2:  # noqa: ASYNC110 -- it is counted elsewhere
                await asyncio.sleep(0.01)
        await flows.ledger.create(flows.tenant, launch("small"))
        await flows.wake_queue.enqueue(flows.tenant, "small")
        took = await ended_after(flows, "small")
        assert hangs.hanging == 2  # half of the room of four
    assert took < 5  # the calls hang for ever


async def test_a_tenants_place_is_taken_until_the_threads_that_its_flow_left_have_ended(
    flows: Flows, gateway: Rest
):
    leaves = LeavesThreads("big")
    async with serving(a_worker(flows, leaves), heard(gateway)):
        for number in range(6):
            await flows.ledger.create("big", launch(f"f{number}"))
            await flows.wake_queue.enqueue("big", f"f{number}")
        async with asyncio.timeout(20):
            while len(leaves.left) < 2:  # noqa: ASYNC110 -- it is counted elsewhere
                await asyncio.sleep(0.01)
            for flow in leaves.left[:2]:
                while not (await flows.log.head("big", flow)).status.terminal:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await flows.ledger.create(flows.tenant, launch("small"))
        await flows.wake_queue.enqueue(flows.tenant, "small")
        assert await ended_after(flows, "small") < 5
        assert len(leaves.left) == 2  # half of the room of four, though their flows have ended
        leaves.ended = True
        async with asyncio.timeout(20):
            while len(leaves.left) < 6:  # noqa: ASYNC110 -- it is counted elsewhere
                await asyncio.sleep(0.01)


async def test_of_fifty_tenants_none_waits_for_all_the_flows_of_another(flows: Flows):
    slow = Slow()
    worker, began = a_worker(flows, slow), slow.began
    for number in range(40):
        await flows.ledger.create("big", launch(f"f{number}"))
    for number in range(49):
        await flows.ledger.create(f"small{number}", launch("f1"))
    async with serving(worker, Deaf(), room=8):
        async with asyncio.timeout(60):
            while len({tenant for tenant in began if tenant != "big"}) < 49:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        big = began.count("big")
    # In turn: at most its half of the room for as long as the others took.
    assert big <= len(began) / 2 + 4
    assert slow.most == 8


async def test_a_sweep_wakes_what_is_due_and_nothing_else(flows: Flows):
    class Counting:
        def __init__(self) -> None:
            self.woken: list[tuple[str, str]] = []

        async def enqueue(self, tenant: str, flow: str) -> None:
            self.woken.append((tenant, flow))

    wake = Counting()
    await flows.ledger.create(flows.tenant, launch("f1"))
    await sweep.sweep(flows.ledger, wake, NoLimit())
    await sweep.sweep(flows.ledger, wake, NoLimit())
    assert wake.woken.count((flows.tenant, "f1")) == 1
