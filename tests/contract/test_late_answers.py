"""Answers that come when their call was counted as lost. Over memory and over Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.memory import MemoryFlows
from core.costs.usage import Usage
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.ledger import FencedError, StepWrite
from core.crews.outcomes import Outcome
from core.flows import Flow, Status, events
from tests.contract.test_call_ledger import (
    LOST,
    USED,
    begun,
    begun_again,
    call,
    cell,
    end,
    held,
    spent,
    state_of,
)
from tests.crewai_parts import a_harness
from tests.fixtures_ports import Flows, viewed
from tests.scripted_provider import ScriptedProvider, Turn, playing
from tests.worker_parts import a_crew, a_worker, launched, log_of


async def test_the_answer_of_a_lost_call_counts_in_place_of_its_bound_once_and_tells_nothing(
    flows: Flows,
):
    claim = await begun(flows, lease_ms=1)
    for number in (1, 2):
        await flows.calls.reserve(call(claim, number))
    await begun_again(flows)
    before = await state_of(flows)
    for _ in range(2):
        with pytest.raises(FencedError):
            await flows.calls.settle(call(claim), USED, events.custom("x", 1))
    state = await state_of(flows)
    assert (before.usage, state.usage) == (LOST + LOST, LOST + USED)
    assert state.head.version == before.head.version + 1
    assert state.head.last_event == before.head.last_event + 1
    assert await viewed(flows) == state.public()
    assert await spent(flows) == [cell("a/b|c", "one", LOST + USED)]


async def test_so_does_that_of_a_step_that_was_given_back(flows: Flows):
    claim = await begun(flows)
    await flows.calls.reserve(call(claim))
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    await flows.calls.settle(call(claim), USED, events.custom("x", 1))
    state = await state_of(flows)
    assert state.usage == USED
    assert await viewed(flows) == state.public()


async def test_after_the_end_an_answer_corrects_the_usage_and_is_no_event(flows: Flows):
    claim, other = await begun(flows), await held(flows, 1)
    await flows.calls.reserve(call(claim))
    await flows.calls.reserve(call(other, model="d"))
    await end(flows)
    ended = await state_of(flows)
    for _ in range(2):
        with pytest.raises(FencedError):
            await flows.calls.settle(call(claim), USED, events.custom("x", 1))
    state = await state_of(flows)
    assert state.usage == LOST + USED
    assert (state.head.last_event, state.updated_ms) == (ended.head.last_event, ended.updated_ms)
    assert state.head.version == ended.head.version + 1  # who polls hears of it
    assert await spent(flows) == [
        cell("a/b|c", "one", USED),
        cell("d", "two", LOST),
    ]
    with pytest.raises(FencedError):
        await flows.calls.settle(call(other, model="d"), USED, [])
    assert (await state_of(flows)).usage == USED + USED


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0.01)


async def with_no_lost_call(memory: MemoryFlows) -> Flow:
    await until(lambda: memory.record("t", "f").flow.usage.lost_calls == 0)
    return await memory.state("t", "f")


@contextlib.asynccontextmanager
async def cancelled_in_a_call(
    memory: MemoryFlows, provider: ScriptedProvider
) -> AsyncIterator[Flow]:
    """Run a flow until its model is asked, and cancel it then; its state while the call goes on."""
    runner = a_harness(llm=model_from("gpt-4o-mini", provider.url, None)).runner
    await launched(memory)
    running = asyncio.create_task(a_worker(memory, runner).run_flow("t", "f", NoLimit()))
    await until(lambda: bool(provider.requests))
    await FlowControl(memory, memory).cancel(tenant="t", flow="f")
    yield await memory.state("t", "f")
    await running  # which ends when nothing that it ran is at work


async def test_a_flow_that_is_cancelled_during_a_call_pays_what_the_call_cost():
    memory = MemoryFlows()
    with playing(Turn("late", silent_seconds=1)) as provider:
        async with cancelled_in_a_call(memory, provider) as ended:
            assert (ended.head.status, ended.usage.lost_calls) == (Status.CANCELLED, 1)
        state = await with_no_lost_call(memory)
    assert state.usage == Usage(1, 100, 20, 100 * 150 + 20 * 600)
    assert state.head.version == ended.head.version + 1
    assert (await log_of(memory))[-1]["type"] == "RUN_ERROR"


async def test_a_step_out_of_its_time_pays_what_its_last_call_cost():
    memory = MemoryFlows()
    with playing(Turn("late", silent_seconds=6)) as provider:
        runner = a_harness(llm=model_from("gpt-4o-mini", provider.url, None)).runner
        await launched(memory, a_crew({"one": {"max_execution_time": 4}}))
        outcome = await a_worker(memory, runner).run_flow("t", "f", NoLimit())
        assert outcome is Outcome.ENDED
        state = await with_no_lost_call(memory)
    assert (state.head.status, state.usage.output_tokens) == (Status.FAILED, 20)


async def test_a_call_that_fails_late_leaves_its_bound_or_gives_it_back():
    memory = MemoryFlows()
    refused = Turn(status=401, silent_seconds=1, error={"message": "no"})
    with playing(refused) as provider:
        async with cancelled_in_a_call(memory, provider):
            pass
        state = await with_no_lost_call(memory)
    assert state.usage == Usage()
