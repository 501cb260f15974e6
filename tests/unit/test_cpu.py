"""Work beside the event loop: one piece at a time, and each tenant's in its turn."""

import asyncio
import threading
import time

import pytest

from core import cpu


class Bench:
    """Work that takes until it is let go, and in which order it was done."""

    def __init__(self) -> None:
        self.done = list[str]()
        self.begun = threading.Event()
        self._free = threading.Semaphore(0)

    def work(self, name: str) -> str:
        self.begun.set()
        assert self._free.acquire(timeout=10)
        self.done.append(name)
        return name

    def let_go(self, pieces: int) -> None:
        self._free.release(pieces)

    async def asked(self, *names: str) -> list[asyncio.Task[str]]:
        """Ask for work of these names, of which the first letter is the tenant."""
        tasks = [asyncio.create_task(cpu.run(name[0], self.work, name)) for name in names]
        await asyncio.sleep(0)
        return tasks


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_however_much_a_tenant_asks_for_another_waits_for_one_piece_only(bench: Bench):
    loud = await bench.asked(*(f"a{number}" for number in range(20)))
    quiet = await bench.asked("b")
    bench.let_go(21)
    await asyncio.gather(*loud, *quiet)
    assert bench.done[:3] == ["a0", "b", "a1"]


async def test_tenants_that_wait_take_turns(bench: Bench):
    tasks = await bench.asked("a0", "a1", "a2", "b0", "b1", "c0")
    bench.let_go(6)
    await asyncio.gather(*tasks)
    assert bench.done == ["a0", "b0", "c0", "a1", "b1", "a2"]


async def test_one_piece_runs_at_a_time(bench: Bench):
    tasks = await bench.asked("a", "b", "c")
    for done in range(1, 4):
        bench.let_go(1)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await tasks.pop(0)
        assert len(bench.done) == done


async def test_who_no_longer_waits_is_passed_over_and_holds_nobody_up(bench: Bench):
    running, *waiting = await bench.asked("a0", "a1", "a2", "b0", "b1")
    await asyncio.to_thread(bench.begun.wait, 10)
    for task in (running, waiting[0], waiting[2]):
        task.cancel()
    bench.let_go(3)
    assert await asyncio.gather(waiting[1], waiting[3]) == ["a2", "b1"]
    assert bench.done[0] == "a0"  # a thread cannot be stopped


async def test_small_work_is_done_at_once(bench: Bench):
    task = await bench.asked("a")
    assert await cpu.run("a", str.upper, "b", 1) == "B"
    bench.let_go(1)
    assert await asyncio.gather(*task) == ["a"]


async def test_what_the_work_raises_reaches_its_caller_and_ends_its_turn():
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            await cpu.run("a", int, "x")


def test_each_event_loop_has_turns_of_its_own():
    async def contended() -> list[int]:
        return await asyncio.gather(*(cpu.run("a", int, "1") for _ in range(3)))

    assert [asyncio.run(contended()) for _ in range(2)] == [[1, 1, 1]] * 2


async def test_a_tenant_that_rests_has_half_of_the_thread_and_its_answers_at_once():
    began = list[float]()

    def work(seconds: float) -> None:
        began.append(time.monotonic())
        time.sleep(seconds)

    first, second, third = (
        asyncio.create_task(cpu.run("a", work, 0.1, rests=True)) for _ in range(3)
    )
    await first
    answered = time.monotonic()
    await cpu.run("b", work, 0)  # nobody waits for a tenant that rests
    assert time.monotonic() - answered < 0.08
    await asyncio.gather(second, third)
    assert answered - began[0] < 0.15
    assert [began[2] - began[0] > 0.19, began[3] - began[2] > 0.19] == [True, True]
