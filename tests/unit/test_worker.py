"""How a worker takes a flow forward, over the memory adapter and a runner that calls no model."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from core import events
from core.adapters.memory import MemoryFlows
from core.costs.usage import Usage
from core.crews import control, strategies
from core.crews.definition import Definition
from core.crews.ledger import FencedError, Launch, Write
from core.crews.run import NoLimit, Post, StepFailedError, StepWork, Timing, Worker, due
from core.errors import UnavailableError
from core.flows import Status
from functions import crew_worker, sweep

TIMING = Timing(lease_seconds=0.15, beat_seconds=0.04, step_seconds=1)
AGENT = {"role": "r", "goal": "g", "backstory": "b"}


def a_crew(**limits: int) -> Definition:
    tasks = {
        name: {"description": "d", "expected_output": name.title(), "agent": "a"}
        for name in ("one", "two", "three")
    }
    return Definition.model_validate(
        {"name": "c", "description": "d", "process": "sequential", "agents": {"a": AGENT},
         "tasks": tasks, "limits": limits}
    )  # fmt: skip


class Scripted:
    """A runner that does what each step's function says, and counts what it began."""

    def __init__(self, **steps: Callable[[StepWork, Post], Any]) -> None:
        self.steps, self.began = steps, list[str]()

    async def run(self, work: StepWork, post: Post) -> dict[str, Any]:
        self.began.append(work.step)
        post(Write(events.custom("at", work.step), Usage(calls=1)))
        if work.step in self.steps:
            done = self.steps[work.step](work, post)
            if asyncio.iscoroutine(done):
                await done
        return {"output": f"{work.step} after {len(work.results)}", "raw": ""}


async def launched(memory: MemoryFlows, crew: Definition | None = None) -> None:
    crew = crew or a_crew()
    await memory.create(
        "t",
        Launch("f", "d", "0" * 8, "c", crew.model_dump(mode="json"), {}, strategies.steps(crew),
               0),
    )  # fmt: skip


def a_worker(memory: MemoryFlows, runner: Scripted) -> Worker:
    return Worker(memory, memory, runner, TIMING)


async def kinds(memory: MemoryFlows) -> list[str]:
    log = await memory.entries("t", "f", 0, 1000)
    return [json.loads(entry.event)["type"] for entry in log]


async def test_a_flow_runs_its_steps_in_order_and_ends_with_the_last_output():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert runner.began == ["one", "two", "three"]
    assert (flow.head.status, flow.output) == (Status.SUCCEEDED, "three after 2")
    assert flow.usage.calls == 3
    assert [kind for kind in await kinds(memory) if not kind.startswith("STATE_")] == [
        "RUN_STARTED", *["STEP_STARTED", "CUSTOM", "STEP_FINISHED"] * 3, "RUN_FINISHED",
    ]  # fmt: skip


async def test_a_step_that_cannot_succeed_fails_the_flow_and_says_why():
    def fails(_work: StepWork, _post: Post) -> None:
        raise StepFailedError("the file is no CSV")

    memory, runner = MemoryFlows(), Scripted(two=fails)
    await launched(memory)
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert (flow.head.status, flow.error) == (Status.FAILED, "two: the file is no CSV")
    assert (await kinds(memory))[-1] == "RUN_ERROR"
    assert runner.began == ["one", "two"]


async def test_a_step_that_may_be_retried_is_and_the_log_says_why():
    def fails_once(_work: StepWork, _post: Post) -> None:
        if runner.began.count("two") == 1:
            raise StepFailedError("the provider was busy")

    crew = a_crew().model_dump()
    crew["tasks"]["two"]["retries"] = 1
    memory, runner = MemoryFlows(), Scripted(two=fails_once)
    await launched(memory, Definition.model_validate(crew))
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    assert runner.began == ["one", "two", "two", "three"]
    log = [json.loads(entry.event) for entry in await memory.entries("t", "f", 0, 1000)]
    assert [event["value"] for event in log if event.get("name") == "step_failed"] == [
        {"step": "two", "error": "the provider was busy", "retries_left": 0}
    ]


async def test_a_step_left_in_the_middle_runs_again_after_its_lease_and_the_first_does_not():
    class KilledError(Exception):
        pass

    def dies(work: StepWork, _post: Post) -> None:
        if work.attempt == 1:
            raise KilledError

    memory, runner = MemoryFlows(), Scripted(two=dies)
    await launched(memory)
    worker = a_worker(memory, runner)
    with pytest.raises(KilledError):
        await worker.advance("t", "f", NoLimit())
    await worker.advance("t", "f", NoLimit())  # too early: the lease still stands
    assert runner.began == ["one", "two"]
    await asyncio.sleep(TIMING.lease_seconds)
    await worker.advance("t", "f", NoLimit())
    assert runner.began == ["one", "two", "two", "three"]
    log = await memory.entries("t", "f", 0, 1000)
    retried = [json.loads(e.event) for e in log if "step_retried" in e.event]
    assert [e["value"] for e in retried] == [{"step": "two", "attempt": 2}]


async def test_a_step_that_always_kills_its_worker_is_given_up():
    class KilledError(Exception):
        pass

    def dies(_work: StepWork, _post: Post) -> None:
        raise KilledError

    memory, runner = MemoryFlows(), Scripted(one=dies)
    await launched(memory, a_crew(max_attempts=2))
    worker = a_worker(memory, runner)
    for _ in range(2):
        with pytest.raises(KilledError):
            await worker.advance("t", "f", NoLimit())
        await asyncio.sleep(TIMING.lease_seconds + 0.02)
    await worker.advance("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert runner.began == ["one", "one"]
    assert flow.error == "step one was started 2 times and never finished"


async def test_a_long_step_keeps_its_lease_by_its_heartbeat():
    async def long(_work: StepWork, _post: Post) -> None:
        await asyncio.sleep(TIMING.lease_seconds * 3)

    memory, runner = MemoryFlows(), Scripted(one=long)
    await launched(memory)
    first = asyncio.create_task(a_worker(memory, runner).advance("t", "f", NoLimit()))
    for _ in range(8):
        await asyncio.sleep(0.05)
        await a_worker(memory, runner).advance("t", "f", NoLimit())
    await first
    assert runner.began == ["one", "two", "three"]


async def test_a_worker_whose_step_was_taken_over_is_stopped_at_its_next_word():
    stopped: list[str] = []

    async def stalls(work: StepWork, post: Post) -> None:
        if work.attempt > 1:
            return
        taken = (await memory.state("t", "f")).steps[0]
        memory._now_ms = lambda: taken.lease_ms + 1_000_000  # the lease is over
        await memory.claim("t", "f", taken, owner="other", lease_ms=1, events=[])
        for _ in range(100):
            await asyncio.sleep(0.01)
            try:
                post(Write(events.custom("still", 1)))
            except FencedError:
                stopped.append(work.step)
                raise

    memory, runner = MemoryFlows(), Scripted(one=stalls)
    await launched(memory)
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    assert stopped == ["one"]
    assert "still" not in str((await memory.entries("t", "f", 0, 100))[3:])


async def test_a_flow_that_is_cancelled_in_a_step_stops_there():
    stopped: list[str] = []

    async def goes_on(work: StepWork, post: Post) -> None:
        await control.cancel(memory, tenant="t", flow="f")
        for number in range(100):
            await asyncio.sleep(0.01)
            try:
                post(Write(events.custom("still", number)))
            except FencedError:
                stopped.append(work.step)
                raise

    memory, runner = MemoryFlows(), Scripted(two=goes_on)
    await launched(memory)
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    assert (await memory.state("t", "f")).head.status is Status.CANCELLED
    assert (runner.began, stopped) == (["one", "two"], ["two"])
    assert (await kinds(memory))[-1] == "RUN_ERROR"


async def test_no_step_is_begun_with_too_little_time_left():
    class AlmostOver:
        def seconds_left(self) -> float:
            return 0.5

    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    await memory.take("t", 1, 60_000)
    await a_worker(memory, runner).advance("t", "f", AlmostOver())
    assert runner.began == []
    assert await memory.take("t", 1, 60_000) == ["f"]  # somebody else was asked for


async def test_a_flow_that_is_gone_is_nothing_to_do():
    await a_worker(MemoryFlows(), Scripted()).advance("t", "nowhere", NoLimit())


async def test_two_workers_run_each_step_once():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    worker = a_worker(memory, runner)
    while not (await memory.head("t", "f")).status.terminal:
        await asyncio.gather(*(worker.advance("t", "f", NoLimit()) for _ in range(2)))
    assert runner.began == ["one", "two", "three"]


async def test_a_serving_worker_finds_what_is_due_and_survives_an_outage():
    class Shaky(MemoryFlows):
        outages = 2

        async def tenants(self) -> list[str]:
            if self.outages:
                self.outages -= 1
                raise UnavailableError("away")
            return await super().tenants()

    memory, runner = Shaky(), Scripted()
    await launched(memory)
    serving = asyncio.create_task(
        crew_worker.serve(a_worker(memory, runner), lambda: len(runner.began) == 3)
    )
    async with asyncio.timeout(5):
        await serving
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED


async def test_a_sweep_wakes_what_is_due_and_nothing_else():
    memory = MemoryFlows()
    await launched(memory)
    assert await sweep.sweep(memory, memory) == 1
    await memory.take("t", 10, 60_000)
    assert await sweep.sweep(memory, memory) == 0
    assert [flow async for flow in due(memory, 10, 1)] == []


def test_a_lease_under_three_beats_is_refused():
    with pytest.raises(ValueError, match="three heartbeats"):
        Timing(lease_seconds=10, beat_seconds=5, step_seconds=1)


async def test_a_models_words_make_at_most_five_events_a_second_and_lose_none():
    async def talks(_work: StepWork, post: Post) -> None:
        for number in range(100):
            post(Write(events.text_content("m", f"{number} ")))
            await asyncio.sleep(0.006)

    memory, runner = MemoryFlows(), Scripted(one=talks)
    await launched(memory)
    began = time.monotonic()
    await a_worker(memory, runner).advance("t", "f", NoLimit())
    took = time.monotonic() - began
    log = [json.loads(entry.event) for entry in await memory.entries("t", "f", 0, 1000)]
    words = [event["delta"] for event in log if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(words) == "".join(f"{number} " for number in range(100))
    assert 3 <= len(words) <= took * 5 + 2
