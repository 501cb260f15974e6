"""What a model call cost, whatever keeps its step from writing that down. Over memory."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from core.adapters.memory import MemoryCallLedger, MemoryFlows
from core.costs.facts import NO_FACTS, Facts
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import Session, StepTask
from core.crews.outcomes import Outcome
from core.crews.timing import Timing
from core.errors import UnavailableError
from core.flows import events
from tests.worker_parts import BOUND, CALL, Scripted, a_crew, launched, log_of
from tests.workers import worker_over

TIMING = Timing(lease_seconds=0.6, beat_seconds=0.2, step_seconds=1)
MODEL_CALL = events.model_call("two", "m", CALL)


class Away(MemoryCallLedger):
    """A ledger that cannot be reached until it is `back`. `after`: what it is asked is done all the same."""

    def __init__(self, flows: MemoryFlows, *, after: bool = False) -> None:
        super().__init__(flows)
        self.away, self.after = False, after

    async def reserve(self, call: Call) -> None:
        if self.after or not self.away:
            await super().reserve(call)
        self.check()

    async def settle(
        self, call: Call, usage: Usage, told: list[Any], facts: Facts = NO_FACTS
    ) -> None:
        self.check()
        await super().settle(call, usage, told, facts)

    def check(self) -> None:
        if self.away:
            raise UnavailableError("away")


async def answered(session: Session) -> None:
    call = await asyncio.to_thread(session.reserve, "m", BOUND)
    session.settle(call, CALL, MODEL_CALL)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0.01)


async def with_all_counted(memory: MemoryFlows, calls: int) -> None:
    """Return when so many calls count at what they cost, and no other call counts at all."""
    usage = Usage(calls=calls, output_tokens=10 * calls, cost_nanodollars=100 * calls)
    await until(lambda: memory.record("t", "f").flow.usage == usage)


@pytest.mark.parametrize("outage_seconds", [TIMING.lease_seconds * 2, 3.0])
async def test_answers_that_come_in_an_outage_are_counted_once_when_it_is_over(
    outage_seconds: float,
):
    async def answers_in_an_outage(work: StepTask, session: Session) -> None:
        if work.attempt > 1:
            return
        calls = [await asyncio.to_thread(session.reserve, "m", BOUND) for _ in range(3)]
        ledger.away = True
        for call in calls:
            session.settle(call, CALL, MODEL_CALL)
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(two=answers_in_an_outage)
    ledger = Away(memory)
    await launched(memory)
    visit = worker_over(memory, ledger, memory, runner, TIMING).run_flow("t", "f", NoLimit())
    running = asyncio.create_task(visit)
    await until(lambda: ledger.away)
    await asyncio.sleep(outage_seconds)
    ledger.away = False
    assert await running is Outcome.DEFERRED
    await with_all_counted(memory, 5)


async def test_a_call_whose_reservation_got_no_answer_costs_nothing():
    async def reserves_in_an_outage(work: StepTask, session: Session) -> None:
        if work.deferrals == 0:
            ledger.away = True
            asyncio.get_running_loop().call_later(TIMING.lease_seconds * 2, come_back)
            await answered(session)

    def come_back() -> None:
        ledger.away = False

    memory, runner = MemoryFlows(), Scripted(two=reserves_in_an_outage)
    ledger = Away(memory, after=True)
    await launched(memory)
    worker = worker_over(memory, ledger, memory, runner, TIMING)
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.DEFERRED
    await with_all_counted(memory, 2)


async def test_an_answer_to_a_thread_that_its_step_did_not_wait_for_is_counted_after_the_commit():
    late = list[asyncio.Task[None]]()

    async def leaves_a_call_behind(_work: StepTask, session: Session) -> None:
        call = await asyncio.to_thread(session.reserve, "m", BOUND)

        async def answer() -> None:
            await until(lambda: "three" in runner.began)
            session.settle(call, CALL, MODEL_CALL)

        late.append(asyncio.create_task(answer()))

    memory, runner = (
        MemoryFlows(),
        Scripted(two=leaves_a_call_behind, three=lambda *_: asyncio.sleep(0.2)),
    )
    await launched(memory)
    worker = worker_over(memory, MemoryCallLedger(memory), memory, runner, TIMING)
    assert await worker.run_flow("t", "f", NoLimit()) is Outcome.ENDED
    await asyncio.gather(*late, return_exceptions=True)
    await with_all_counted(memory, 4)


async def test_an_answer_whose_worker_is_cancelled_as_it_comes_is_counted():
    async def is_cancelled(_work: StepTask, session: Session) -> None:
        await answered(session)
        running.cancel()
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(two=is_cancelled)
    await launched(memory)
    worker = worker_over(memory, MemoryCallLedger(memory), memory, runner, TIMING)
    running = asyncio.create_task(worker.run_flow("t", "f", NoLimit()))
    await asyncio.wait({running})
    assert running.cancelled()
    await with_all_counted(memory, 3)


async def test_a_flow_is_left_when_what_its_calls_cost_is_written_down():
    """A process that ends next, as its host does after SIGTERM, loses none of it."""

    class Slow(MemoryCallLedger):
        async def settle(
            self, call: Call, usage: Usage, told: list[Any], facts: Facts = NO_FACTS
        ) -> None:
            await asyncio.sleep(0.3)
            await super().settle(call, usage, told, facts)

    async def is_cancelled(_work: StepTask, session: Session) -> None:
        call = await asyncio.to_thread(session.reserve, "m", BOUND)
        await FlowControl(memory, memory).cancel(tenant="t", flow="f")
        await asyncio.sleep(0.1)
        session.settle(call, CALL, MODEL_CALL)
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(one=is_cancelled)
    await launched(memory, a_crew())
    worker = worker_over(memory, Slow(memory), memory, runner, TIMING)
    await worker.run_flow("t", "f", NoLimit())
    state = await memory.state("t", "f")
    assert state.usage == CALL + CALL
    assert (await log_of(memory))[-1]["type"] == "RUN_ERROR"
