"""How a worker takes a flow forward, over the memory adapter and a runner that calls no model."""

import asyncio
import time
from itertools import pairwise

import pytest

from core.adapters.memory import MemoryFlows
from core.crews.clock import NoLimit, StoppableClock
from core.crews.control import FlowControl
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.ledger import FencedError
from core.crews.outcomes import Outcome, StepCrashedError
from core.crews.timing import Timing
from core.crews.unsent import TEXT_SECONDS
from core.flows import Status, events
from tests.fixtures_ports import leased
from tests.worker_parts import TIMING, Scripted, a_crew, a_worker, kinds, launched, log_of


async def test_a_flow_runs_its_steps_in_order_and_ends_with_the_last_output():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert runner.began == ["one", "two", "three"]
    assert (flow.head.status, flow.output) == (Status.SUCCEEDED, "three after 2")
    assert flow.usage.calls == 3
    assert [kind for kind in await kinds(memory) if not kind.startswith("STATE_")] == [
        "RUN_STARTED", *["STEP_STARTED", *["CUSTOM"] * 3, "STEP_FINISHED"] * 3, "RUN_FINISHED",
    ]  # fmt: skip
    names = [event["name"] for event in await log_of(memory) if event["type"] == "CUSTOM"]
    assert names == ["agent_started", "at", "agent_finished"] * 3


async def test_a_step_that_cannot_succeed_fails_the_flow_and_says_why():
    def fails(_work: StepTask, _session: Session) -> None:
        raise StepFailedError("the file is no CSV")

    memory, runner = MemoryFlows(), Scripted(two=fails)
    await launched(memory)
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert (flow.head.status, flow.error) == (Status.FAILED, "two: the file is no CSV")
    assert (await kinds(memory))[-1] == "RUN_ERROR"
    assert runner.began == ["one", "two"]


async def test_a_step_that_may_be_retried_is_and_the_log_says_why():
    def fails_once(_work: StepTask, _session: Session) -> None:
        if runner.began.count("two") == 1:
            raise StepFailedError("the provider was busy")

    memory, runner = MemoryFlows(), Scripted(two=fails_once)
    await launched(memory, a_crew({"two": {"retries": 1}}))
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    assert runner.began == ["one", "two", "two", "three"]
    log = await log_of(memory)
    assert [event["value"] for event in log if event.get("name") == "step_failed"] == [
        {"step": "two", "error": "the provider was busy", "retries_left": 0}
    ]


async def test_between_two_attempts_there_is_a_pause_that_grows():
    times = list[float]()

    def fails(_work: StepTask, _session: Session) -> None:
        times.append(time.monotonic())
        raise StepFailedError("the provider was busy")

    memory, runner = MemoryFlows(), Scripted(one=fails)
    await launched(memory, a_crew({"one": {"retries": 2}}))
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    first, second = (after - before for before, after in pairwise(times))
    assert 1 <= first < second < 8


async def test_a_pause_ends_with_the_time_of_the_worker():
    def fails(_work: StepTask, _session: Session) -> None:
        raise StepFailedError("the provider was busy")

    memory, clock = MemoryFlows(), StoppableClock(0.1)
    await launched(memory, a_crew({"one": {"retries": 5}}))
    running = asyncio.create_task(a_worker(memory, Scripted(one=fails)).run_flow("t", "f", clock))
    await asyncio.sleep(0.1)
    clock.stop()
    began = time.monotonic()
    await running
    assert time.monotonic() - began < 0.8
    assert (await memory.state("t", "f")).head.status is Status.RUNNING  # given back, not failed


async def test_a_step_left_in_the_middle_runs_again_after_its_lease_and_the_first_does_not():
    class KilledError(Exception):
        pass

    def dies(work: StepTask, _session: Session) -> None:
        if work.attempt == 1:
            raise KilledError

    memory, runner = MemoryFlows(), Scripted(two=dies)
    await launched(memory)
    worker = a_worker(memory, runner)
    with pytest.raises(StepCrashedError):
        await worker.run_flow("t", "f", NoLimit())
    await worker.run_flow("t", "f", NoLimit())  # too early: the lease still stands
    assert runner.began == ["one", "two"]
    await asyncio.sleep(TIMING.lease_seconds)
    await worker.run_flow("t", "f", NoLimit())
    assert runner.began == ["one", "two", "two", "three"]
    retried = [event for event in await log_of(memory) if event.get("name") == "step_retried"]
    assert [e["value"] for e in retried] == [{"step": "two", "attempt": 2}]


async def test_a_step_that_always_kills_its_worker_is_given_up():
    class KilledError(Exception):
        pass

    def dies(_work: StepTask, _session: Session) -> None:
        raise KilledError

    memory, runner = MemoryFlows(), Scripted(one=dies)
    await launched(memory, a_crew(max_attempts=2))
    worker = a_worker(memory, runner)
    for _ in range(2):
        with pytest.raises(StepCrashedError):
            await worker.run_flow("t", "f", NoLimit())
        await asyncio.sleep(TIMING.lease_seconds + 0.02)
    await worker.run_flow("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert runner.began == ["one", "one"]
    assert flow.error == (
        "step one was started 2 times and never finished; "
        "the last time: the worker stopped with KilledError"
    )


async def test_a_long_step_keeps_its_lease_by_its_heartbeat():
    async def long(_work: StepTask, _session: Session) -> None:
        await asyncio.sleep(timing.lease_seconds * 2)

    timing = Timing(lease_seconds=0.45, beat_seconds=0.1, step_seconds=1)
    memory, runner = MemoryFlows(), Scripted(one=long)
    await launched(memory)
    first = asyncio.create_task(
        a_worker(memory, runner, timing=timing).run_flow("t", "f", NoLimit())
    )
    for _ in range(16):
        await asyncio.sleep(0.05)
        await a_worker(memory, runner, timing=timing).run_flow("t", "f", NoLimit())
    await first
    assert runner.began == ["one", "two", "three"]


async def test_a_worker_whose_step_was_taken_over_is_stopped_there():
    stopped: list[str] = []

    async def stalls(work: StepTask, session: Session) -> None:
        if work.attempt > 1:
            return
        taken = (await memory.state("t", "f")).steps[0]
        memory._now_ms = lambda: taken.lease_ms + 1_000_000  # the lease is over
        await memory.claim("t", "f", taken, owner="other", lease_ms=1, events=[])
        try:
            for _ in range(100):
                await asyncio.sleep(0.01)
                session.post(events.custom("still", 1))
        except (FencedError, asyncio.CancelledError):
            stopped.append(work.prompt.step)
            raise

    memory, runner = MemoryFlows(), Scripted(one=stalls)
    await launched(memory)
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    assert stopped == ["one"]
    assert "still" not in str((await memory.entries("t", "f", 0, 100))[3:])


async def test_a_flow_that_is_cancelled_in_a_step_stops_there():
    stopped: list[str] = []

    async def goes_on(work: StepTask, session: Session) -> None:
        await FlowControl(memory, memory).cancel(tenant="t", flow="f")
        try:
            for number in range(100):
                await asyncio.sleep(0.01)
                session.post(events.custom("still", number))
        except (FencedError, asyncio.CancelledError):
            stopped.append(work.prompt.step)
            raise

    memory, runner = MemoryFlows(), Scripted(two=goes_on)
    await launched(memory)
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    assert (await memory.state("t", "f")).head.status is Status.CANCELLED
    assert (runner.began, stopped) == (["one", "two"], ["two"])
    assert (await kinds(memory))[-1] == "RUN_ERROR"


async def test_no_step_is_begun_with_too_little_time_left():
    class AlmostOver:
        def seconds_left(self) -> float:
            return 0.5

    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    await leased(memory, "t")
    await a_worker(memory, runner).run_flow("t", "f", AlmostOver())
    assert runner.began == []
    assert await leased(memory, "t") == ["f"]  # somebody else was asked for


async def test_a_flow_that_is_gone_is_nothing_to_do():
    worker = a_worker(MemoryFlows(), Scripted())
    assert await worker.run_flow("t", "nowhere", NoLimit()) is Outcome.GONE


async def test_two_workers_run_each_step_once():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    worker = a_worker(memory, runner)
    while not (await memory.head("t", "f")).status.terminal:
        await asyncio.gather(*(worker.run_flow("t", "f", NoLimit()) for _ in range(2)))
    assert runner.began == ["one", "two", "three"]


def test_a_lease_under_three_beats_is_refused():
    with pytest.raises(ValueError, match="three heartbeats"):
        Timing(lease_seconds=10, beat_seconds=5, step_seconds=1)


async def test_a_models_words_make_an_event_in_each_pause_between_writes_and_lose_none():
    async def talks(_work: StepTask, session: Session) -> None:
        for number in range(100):
            session.post(events.text_content("m", f"{number} "))
            await asyncio.sleep(0.015)

    memory, runner = MemoryFlows(), Scripted(one=talks)
    await launched(memory)
    began = time.monotonic()
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    took = time.monotonic() - began
    log = await log_of(memory)
    words = [event["delta"] for event in log if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(words) == "".join(f"{number} " for number in range(100))
    assert 3 <= len(words) <= took / TEXT_SECONDS + 2  # the first at once, and the rest at the end
