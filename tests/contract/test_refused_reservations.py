"""No model is called whose bound is not held: whatever the ledger refuses a reservation for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.memory import MemoryCallLedger, MemoryFlows
from core.crews.call_ledger import Call
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.ledger import Claim
from core.crews.timing import Timing
from core.errors import UnavailableError
from tests.crewai_parts import a_harness
from tests.scripted_provider import Turn, playing
from tests.worker_parts import BOUND, Scripted, a_worker, launched
from tests.workers import worker_over

NO_BEAT = Timing(lease_seconds=60, beat_seconds=20, step_seconds=1)  # which would tell it first
Happening = Callable[[MemoryFlows], Awaitable[None]]


async def is_cancelled(memory: MemoryFlows) -> None:
    await FlowControl(memory, memory).cancel(tenant="t", flow="f")


async def is_claimed_by_another(memory: MemoryFlows) -> None:
    step = next(s for s in (await memory.state("t", "f")).steps if s.state == "running")
    now_ms = memory._now_ms
    memory._now_ms = lambda: step.lease_ms + 1
    claimed = await memory.claim("t", "f", step, owner="other", lease_ms=60_000, events=[])
    memory._now_ms = now_ms
    assert isinstance(claimed, Claim)


async def runs_out_of_time(memory: MemoryFlows) -> None:
    record = memory.record("t", "f")
    record.flow = replace(record.flow, deadline_ms=1)


async def is_deleted(memory: MemoryFlows) -> None:
    await FlowControl(memory, memory).cancel(tenant="t", flow="f")
    await memory.delete("t", "f")


happening = pytest.mark.parametrize(
    "happens", [is_cancelled, is_claimed_by_another, runs_out_of_time, is_deleted]
)


@happening
async def test_a_reservation_that_is_refused_returns_no_call(happens: Happening):
    called = list[str]()

    async def calls(work: StepTask, session: Session) -> None:
        if work.attempt > 1:
            return
        await happens(memory)
        await asyncio.to_thread(session.reserve, "m", BOUND)
        called.append(work.prompt.step)

    memory, runner = MemoryFlows(), Scripted(two=calls)
    await launched(memory)
    await a_worker(memory, runner).run_flow("t", "f", NoLimit())
    assert runner.began[:2] == ["one", "two"]
    assert called == []


@happening
async def test_nor_does_crewai_call_its_model_then(happens: Happening):
    class Meanwhile(CrewRunner):
        async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
            await happens(memory)
            return await crewai.run(work, session)

    memory = MemoryFlows()
    with playing(Turn("paid by nobody")) as provider:
        crewai = a_harness(llm=model_from("gpt-4o-mini", provider.url, None)).runner
        await launched(memory)
        worker = a_worker(memory, Meanwhile(), timing=NO_BEAT)
        await worker.run_flow("t", "f", NoLimit())
        while crewai.is_at_work("t", "f"):  # noqa: ASYNC110 -- a thread tells no event
            await asyncio.sleep(0.01)
    assert provider.requests == []


class Away(MemoryCallLedger):
    """A ledger that cannot be reached when a call is reserved."""

    asked = 0

    async def reserve(self, call: Call) -> None:
        self.asked += 1
        raise UnavailableError(f"away, and so {call.id} is not held")


async def test_nor_is_any_model_called_while_the_store_of_the_budgets_is_away():
    memory, timing = MemoryFlows(), Timing(lease_seconds=0.5, beat_seconds=0.1, step_seconds=1)
    calls = Away(memory)
    with playing(Turn("paid by nobody")) as provider:
        crewai = a_harness(llm=model_from("gpt-4o-mini", provider.url, None)).runner
        await launched(memory)
        with suppress(UnavailableError):
            await worker_over(memory, calls, memory, crewai, timing).run_flow("t", "f", NoLimit())
        while crewai.is_at_work("t", "f"):  # noqa: ASYNC110 -- a thread tells no event
            await asyncio.sleep(0.01)
    assert calls.asked > 0
    assert provider.requests == []
    assert (await memory.state("t", "f")).usage.calls == 0
