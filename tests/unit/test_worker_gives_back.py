"""Steps that are given back, and what ends a flow that no step can take on."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.adapters.memory import MemoryFlows
from core.crews.clock import NoLimit, StoppableClock
from core.crews.crew_runner import Session, StepDeferredError, StepTask
from core.crews.outcomes import Outcome, StepCrashedError
from core.crews.timing import Timing
from core.crews.worker import MOST_FAILURES
from core.errors import TooLargeError, UnavailableError
from core.flows import Status, Step, events
from tests.worker_parts import BOUND, Scripted, a_crew, a_worker, launched, log_of

TIMING = Timing(lease_seconds=0.6, beat_seconds=0.2, step_seconds=0.3)


@dataclass
class Invocation:
    """The clock of a host that ends an invocation after so many seconds."""

    limit_seconds: float
    began: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float:
        return self.limit_seconds - (time.monotonic() - self.began)


async def step_of(memory: MemoryFlows, name: str) -> Step:
    return next(s for s in (await memory.state("t", "f")).steps if s.id == name)


async def test_a_step_that_is_put_off_costs_no_attempt_and_says_why():
    def busy(_work: StepTask, _session: Session) -> None:
        if runner.began.count("two") <= 2:
            raise StepDeferredError("the provider asks to wait", 0.1)

    memory, runner = MemoryFlows(), Scripted(two=busy)
    await launched(memory, a_crew(max_attempts=1))
    worker = a_worker(memory, runner)
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.DEFERRED
    step = await step_of(memory, "two")
    assert (step.state, step.attempts) == ("pending", 0)
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.BUSY  # it is too early
    for expected in (Outcome.DEFERRED, Outcome.ENDED):
        await asyncio.sleep(0.12)
        assert await worker.run_flow("t", "f", NoLimit()) is expected
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    told = [e["value"] for e in await log_of(memory) if e.get("name") == "step_deferred"]
    assert [value["reason"] for value in told] == ["the provider asks to wait"] * 2
    assert (await step_of(memory, "two")).attempts == 1


async def test_a_tool_whose_store_is_away_puts_its_step_off():
    def reads(_work: StepTask, _session: Session) -> None:
        raise UnavailableError("the object store does not answer")

    memory, runner = MemoryFlows(), Scripted(one=reads)
    await launched(memory, a_crew(max_attempts=1))
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.DEFERRED
    step = await step_of(memory, "one")
    assert (step.state, step.attempts) == ("pending", 0)
    assert "object store" in str(await log_of(memory))


async def test_a_step_finishes_when_its_worker_is_asked_to_stop_and_the_next_is_not_begun():
    async def takes_a_while(_work: StepTask, _session: Session) -> None:
        clock.stop()
        await asyncio.sleep(0.3)

    clock = StoppableClock(stop_seconds=5)
    memory, runner = MemoryFlows(), Scripted(two=takes_a_while)
    await launched(memory)
    worker = a_worker(memory, runner, timing=Timing(30, 10, 60))
    assert await worker.run_flow("t", "f", clock) is Outcome.OUT_OF_TIME
    assert runner.began == ["one", "two"]
    assert (await step_of(memory, "two")).state == "done"
    assert ("t", "f") in (await memory.lease(1, 1, 1)).items


async def test_a_step_that_does_not_finish_is_given_back_when_its_worker_stops():
    async def hangs(_work: StepTask, _session: Session) -> None:
        if runner.began.count("two") == 1:
            clock.stop()
            await asyncio.sleep(30)

    clock = StoppableClock(stop_seconds=0.3)
    memory, runner = MemoryFlows(), Scripted(two=hangs)
    await launched(memory, a_crew(max_attempts=1))
    timing = Timing(30, 10, 60)
    async with asyncio.timeout(5):
        outcome = await a_worker(memory, runner, timing=timing).run_flow("t", "f", clock)
    assert outcome is Outcome.OUT_OF_TIME
    began = time.monotonic()
    assert ("t", "f") in (await memory.lease(1, 1, 1)).items
    other = a_worker(memory, runner, timing=timing)
    assert await other.run_flow("t", "f", NoLimit()) is Outcome.ENDED
    assert time.monotonic() - began < 1  # no lease had to run out
    assert runner.began == ["one", "two", "two", "three"]
    step = await step_of(memory, "two")
    assert (step.attempts, step.deferrals) == (1, 0)  # a deploy is no refusal of a provider


async def test_no_model_is_called_when_the_time_is_nearly_up():
    calls: list[float] = []

    async def calls_on(_work: StepTask, session: Session) -> None:
        while True:
            await asyncio.to_thread(session.reserve, "m", BOUND)
            calls.append(clock.seconds_left())
            await asyncio.sleep(0.05)

    clock = Invocation(1.2)
    memory, runner = MemoryFlows(), Scripted(one=calls_on)
    await launched(memory)
    outcome = await a_worker(memory, runner, timing=Timing(30, 10, 1.15)).run_flow("t", "f", clock)
    assert outcome is Outcome.OUT_OF_TIME
    assert calls
    assert min(calls) > 0.05
    assert clock.seconds_left() > 0.01  # it was given back at once, not when it was killed
    assert (await step_of(memory, "one")).state == "pending"


async def test_a_step_that_is_longer_than_an_invocation_may_be_is_given_up():
    async def long(_work: StepTask, _session: Session) -> None:
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(one=long)
    await launched(memory, a_crew(max_attempts=2))
    worker = a_worker(memory, runner, timing=TIMING)
    for _ in range(2):
        assert await worker.run_flow("t", "f", Invocation(0.5)) is Outcome.OUT_OF_TIME
        await asyncio.sleep(0.01)
    assert await worker.run_flow("t", "f", Invocation(0.5)) is Outcome.ENDED
    flow = await memory.state("t", "f")
    assert flow.head.status is Status.FAILED
    assert "this host had for it" in str(flow.error)
    assert runner.began == ["one", "one"]


async def test_a_flow_that_another_version_launched_is_carried_to_its_end():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    definition = memory.record("t", "f").flow.definition
    for part in (definition, definition["agents"]["a"], definition["tasks"]["two"]):
        part["of_another_version"] = 1
    del definition["tasks"]["two"]["expected_output"]
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.ENDED
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    assert runner.began == ["one", "two", "three"]


async def test_a_definition_that_cannot_be_run_ends_its_flow_and_says_why():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory)
    record = memory.record("t", "f")
    record.flow.definition["process"] = "of another version"
    worker = a_worker(memory, runner)
    for _ in range(MOST_FAILURES - 1):
        with pytest.raises(ValueError, match="process"):
            await worker.run_flow("t", "f", NoLimit())
        assert (await memory.head("t", "f")).status is Status.QUEUED
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.ENDED
    flow = await memory.state("t", "f")
    assert (flow.head.status, runner.began) == (Status.FAILED, [])
    assert "process" in str(flow.error)
    last = (await log_of(memory))[-1]
    assert (last["type"], last["code"]) == ("RUN_ERROR", "internal")


async def test_a_result_that_the_store_cannot_take_fails_its_step_at_once():
    class Small(MemoryFlows):
        async def commit(self, claim: Any, seq: int, result: Any, *given: Any) -> Any:
            if claim.step == "two":
                raise TooLargeError("the result is 20,000,000 bytes")
            return await super().commit(claim, seq, result, *given)

    memory, runner = Small(), Scripted()
    await launched(memory)
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.ENDED
    flow = await memory.state("t", "f")
    assert flow.head.status is Status.FAILED
    assert "20,000,000" in str(flow.error)
    assert runner.began == ["one", "two"]  # and was not paid again
    assert "20,000,000" in str((await step_of(memory, "two")).error)


async def test_an_outage_is_not_waited_out_longer_than_the_lease():
    class Away(MemoryFlows):
        async def emit(self, *_given: Any) -> int:
            raise UnavailableError("away")

        async def release(self, *_given: Any, **_more: Any) -> None:
            raise UnavailableError("away")

    async def tells(_work: StepTask, session: Session) -> None:
        session.post(events.custom("x", 1))
        await asyncio.sleep(30)

    memory, runner = Away(), Scripted(one=tells)
    await launched(memory)
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await a_worker(memory, runner, timing=TIMING).run_flow("t", "f", NoLimit())
    assert TIMING.lease_seconds / 2 < time.monotonic() - began < TIMING.lease_seconds + 1


async def test_a_time_out_of_the_runner_itself_is_no_time_limit_of_the_task():
    def times_out(_work: StepTask, _session: Session) -> None:
        raise TimeoutError

    memory, runner = MemoryFlows(), Scripted(one=times_out)
    await launched(memory)
    with pytest.raises(StepCrashedError):
        await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    assert (await step_of(memory, "one")).error == "the worker stopped with TimeoutError"


async def test_an_output_that_the_store_cannot_take_ends_the_flow_at_once_and_says_why():
    class Small(MemoryFlows):
        async def transition(self, tenant: str, flow: str, to: Status, **more: Any) -> None:
            if to is Status.SUCCEEDED:
                raise TooLargeError("the output is 20,000,000 bytes")
            await super().transition(tenant, flow, to, **more)

    memory, runner = Small(), Scripted()
    await launched(memory)
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.ENDED
    flow = await memory.state("t", "f")
    assert flow.head.status is Status.FAILED
    assert "20,000,000" in str(flow.error)


async def test_an_event_that_the_store_cannot_take_fails_its_step_at_once():
    class Small(MemoryFlows):
        async def emit(self, claim: Any, seq: int, lease_ms: int, write: Any) -> int:
            if write.events and not write.error:
                raise TooLargeError("what the step emits is 20,000,000 bytes")
            return await super().emit(claim, seq, lease_ms, write)

    async def says_much(_work: StepTask, session: Session) -> None:
        session.post(events.custom("x", "..."))
        await asyncio.sleep(1)

    memory, runner = Small(), Scripted(two=says_much)
    await launched(memory)
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.ENDED
    assert "20,000,000" in str((await memory.state("t", "f")).error)
    assert runner.began == ["one", "two"]
