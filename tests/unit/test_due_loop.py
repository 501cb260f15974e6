"""The loop that takes due work and runs it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from core.adapters.upstash.commands import CommandError
from core.due_loop import Due, DueLoop, Idle, Room
from core.errors import UnavailableError

QUICK = Idle(shortest=0.001, longest=0.02, after_error=0.001)


@dataclass
class Store:
    """Work by tenant, taken in rotation; what runs says so, and goes on until it is let go."""

    due: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    errors: list[Exception] = field(default_factory=list[Exception])
    looks: int = 0
    next_ms: int | None = None
    running: Counter[str] = field(default_factory=Counter[str])
    most: Counter[str] = field(default_factory=Counter[str])
    at_once: int = 0
    ran: list[str] = field(default_factory=list[str])
    hang: set[str] = field(default_factory=set[str])
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def lease(self, limit: int, per_tenant: int) -> Due[str]:
        self.looks += 1
        if self.errors:
            raise self.errors.pop(0)
        taken: list[tuple[str, str]] = []
        for tenant in sorted(self.due):
            share = min(per_tenant, limit - len(taken))
            taken += [(tenant, item) for item in self.due[tenant][:share]]
            self.due[tenant] = self.due[tenant][share:]
        more = any(self.due.values())
        return Due(taken, 0 if more else self.next_ms)

    async def run(self, tenant: str, item: str) -> None:
        self.running[tenant] += 1
        self.most |= self.running
        self.at_once = max(self.at_once, self.running.total())
        try:
            await (self.free.wait() if tenant in self.hang else asyncio.sleep(0.002))
            self.ran.append(item)
        finally:
            self.running[tenant] -= 1


def a_loop(store: Store, concurrency: int = 4, per_tenant: int = 2, idle: Idle = QUICK):
    return DueLoop("work", store.lease, store.run, Room(concurrency, per_tenant), idle)


@asynccontextmanager
async def running(loop: DueLoop[str]) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    task = asyncio.create_task(loop.run_forever(stopped))
    try:
        yield
    finally:
        stopped.set()
        await asyncio.wait_for(task, 5)


async def until(store: Store, count: int) -> None:
    async with asyncio.timeout(5):
        while len(store.ran) < count:  # noqa: ASYNC110 -- the loop under test knows nothing of us
            await asyncio.sleep(0.001)


async def test_all_that_is_due_is_run_with_no_more_at_once_than_there_is_room_for():
    store = Store({f"t{n}": [f"t{n}.{i}" for i in range(6)] for n in range(10)})
    async with running(a_loop(store)):
        await until(store, 60)
    assert sorted(store.ran) == sorted(f"t{n}.{i}" for n in range(10) for i in range(6))
    assert store.at_once == 4
    assert max(store.most.values()) == 2


async def test_a_tenant_whose_work_hangs_holds_nobody_else_up():
    store = Store({"a": [f"a{i}" for i in range(40)]}, hang={"a"})
    async with running(a_loop(store)):
        await asyncio.sleep(0.05)
        store.due["b"] = [f"b{i}" for i in range(10)]
        await until(store, 10)
        assert store.ran == [f"b{i}" for i in range(10)]
        assert store.running["a"] == 2
        store.free.set()


async def test_what_waits_for_its_tenants_share_runs_when_that_is_free():
    store = Store({"a": ["a0", "a1", "a2", "a3"]})
    async with running(a_loop(store, concurrency=8, per_tenant=1)):
        await until(store, 4)
    assert store.most["a"] == 1


async def test_what_finds_no_place_is_given_back_and_nothing_is_lost():
    store = Store({"a": [f"a{i}" for i in range(40)]}, hang={"a"})
    given_back = list[str]()

    async def give_back(_: str, item: str) -> None:
        given_back.append(item)
        if item == "a39":
            raise RuntimeError("never seen before")

    loop = DueLoop("work", store.lease, store.run, Room(4, 2), QUICK, give_back)
    async with running(loop):
        async with asyncio.timeout(5):
            while "a39" not in given_back:  # noqa: ASYNC110 -- the loop under test knows nothing of us
                await asyncio.sleep(0.001)
        assert given_back == [f"a{i}" for i in range(2 + 4, 40)]
        store.due["a"] = given_back[:]
        store.free.set()
        await until(store, 40)
    assert set(store.ran) == {f"a{i}" for i in range(40)}


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("the store is away"),
        CommandError("ERR max daily request limit exceeded. Limit: 10000, Usage: 10000"),
        RuntimeError("never seen before"),
    ],
)
async def test_a_turn_that_goes_wrong_ends_nothing(error: Exception):
    store = Store({"a": ["a0"]}, errors=[error] * 3)
    async with running(a_loop(store)):
        await until(store, 1)
    assert store.looks >= 4


async def test_a_store_that_refuses_is_asked_ever_less_often():
    store = Store(errors=[RuntimeError("no")] * 1000)
    async with running(a_loop(store, idle=Idle(0.001, 0.2, 0.01))):
        await asyncio.sleep(0.5)
    assert store.looks <= 9


async def test_work_that_goes_wrong_ends_nothing_and_gives_its_room_back():
    store = Store({"a": [f"a{i}" for i in range(10)]})

    async def run(tenant: str, item: str) -> None:
        await store.run(tenant, item)
        raise ValueError(item)

    async with running(DueLoop("work", store.lease, run, Room(2, 2), QUICK)):
        await until(store, 10)


async def test_while_nothing_is_due_it_sleeps_until_the_next_is():
    store = Store(next_ms=60)
    async with running(a_loop(store, idle=Idle(0.001, 10.0))):
        await asyncio.sleep(0.3)
        assert 3 <= store.looks <= 7
    nothing = Store()
    async with running(a_loop(nothing, idle=Idle(0.001, 10.0))):
        await asyncio.sleep(0.1)
        assert nothing.looks == 1


async def test_a_store_that_says_soon_for_ever_is_not_asked_all_the_time():
    store = Store(next_ms=0)
    async with running(a_loop(store, idle=Idle(0.001, 0.2))):
        await asyncio.sleep(0.5)
    assert store.looks <= 12


async def test_a_tenant_that_floods_and_hangs_does_not_have_the_store_asked_all_the_time():
    store = Store({"a": [f"a{i}" for i in range(1000)]}, hang={"a"})
    async with running(a_loop(store, idle=Idle(0.001, 0.2))):
        await asyncio.sleep(0.5)
        assert store.looks <= 14
        store.free.set()


async def test_woken_it_looks_at_once():
    store = Store()
    loop = a_loop(store, idle=Idle(0.001, 60.0))
    async with running(loop):
        await asyncio.sleep(0.01)
        store.due["a"] = ["a0"]
        loop.woken.set()
        await until(store, 1)


async def test_stopped_it_finishes_what_runs_and_leaves_the_rest():
    store = Store({"a": [f"a{i}" for i in range(6)]}, hang={"a"})
    loop, stopped = a_loop(store, concurrency=4, per_tenant=2), asyncio.Event()
    task = asyncio.create_task(loop.run_forever(stopped))
    await asyncio.sleep(0.03)
    stopped.set()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.05)
    assert not task.done()
    store.free.set()
    await asyncio.wait_for(task, 5)
    assert store.ran == ["a0", "a1"]


async def test_stopped_it_takes_nothing_that_it_is_offered():
    """Its own work is given up by waking a worker, and it would be the first one to hear that."""
    store = Store({"a": ["a0"]}, hang={"a"})
    loop, stopped = a_loop(store), asyncio.Event()
    task = asyncio.create_task(loop.run_forever(stopped))
    await asyncio.sleep(0.03)
    stopped.set()
    await asyncio.sleep(0.01)
    loop.offer("b", "b0")
    store.free.set()
    await asyncio.wait_for(task, 5)
    assert store.ran == ["a0"]


async def test_run_once_it_runs_what_is_due_and_returns():
    store = Store({f"t{n}": [f"t{n}.{i}" for i in range(6)] for n in range(3)})
    assert await a_loop(store).run_due(100, lambda: False) == 18
    assert len(store.ran) == 18
    store.due["t0"] = ["again"] * 10
    assert await a_loop(store).run_due(4, lambda: False) == 4
    assert await a_loop(store).run_due(100, lambda: True) == 0


async def test_run_once_a_flood_of_one_tenant_is_run_to_its_end():
    store = Store({"a": [f"a{i}" for i in range(50)], "b": ["b0"]})
    assert await a_loop(store).run_due(1000, lambda: False) == 51
    assert len(store.ran) == 51
    assert store.most["a"] == 2


async def test_run_once_a_store_that_is_away_is_told_when_all_that_ran_has_ended():
    store = Store({"a": ["a0", "a1"]})

    async def lease(limit: int, per_tenant: int) -> Due[str]:
        if store.looks:
            raise UnavailableError("away")
        return await store.lease(limit, per_tenant)

    with pytest.raises(UnavailableError):
        await DueLoop("work", lease, store.run, Room(4, 2), QUICK).run_due(9, lambda: False)
    assert store.ran == ["a0", "a1"]


def test_a_time_that_the_store_tells_is_kept_however_often_nothing_came_of_a_look():
    assert Idle(shortest=0.1, longest=5.0).seconds(12, empty_turns=10) == 0.1
    assert Idle(shortest=0.1, longest=5.0).seconds(700, empty_turns=10) == 0.7
    assert Idle(shortest=0.1, longest=5.0).seconds(0, empty_turns=3) == 0.8
