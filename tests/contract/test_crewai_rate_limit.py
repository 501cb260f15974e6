"""max_rpm: how many model calls an agent of a flow may begin in a minute, here a short one."""

import asyncio
import time
from dataclasses import replace

import pytest

from core.adapters.crewai.model_calls import ModelRetryPolicy
from core.adapters.crewai.rate_limiter import RateLimiter
from core.crews.crew_runner import StepDeferredError
from tests.crewai_parts import INPUT, a_crew, a_harness, a_step, native_call

MINUTE = 0.6  # seconds
PATIENT = ModelRetryPolicy(in_place=20)


async def test_a_step_that_would_wait_long_for_its_next_call_is_put_off_and_holds_no_money():
    harness = a_harness([native_call("size", file=INPUT)], "unused", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    with pytest.raises(StepDeferredError, match="max_rpm") as deferred:
        await harness.run(a_step(a_crew(tools=("size",), max_rpm=1)))
    assert deferred.value.passes  # it goes on there, however often that is
    assert len(harness.session.reserved) == len(harness.script.prompts) == 1


async def test_a_step_that_would_wait_long_for_its_first_call_is_put_off_and_holds_no_turn():
    harness = a_harness("ok", "unused")
    step = a_step(a_crew(max_rpm=1))
    await harness.run(step)
    for _ in range(3):
        with pytest.raises(StepDeferredError, match="max_rpm") as deferred:
            await harness.run(step)
        assert 30 < deferred.value.retry_after_seconds <= 60  # not two minutes, nor three
    assert len(harness.session.reserved) == len(harness.script.prompts) == 1


async def test_steps_of_one_flow_share_the_limit_of_their_agent_and_other_flows_do_not():
    harness = a_harness(*["ok"] * 4, minute_seconds=MINUTE, retries=PATIENT)
    step = a_step(a_crew(max_rpm=1))
    start = time.monotonic()
    await asyncio.gather(*(harness.run(replace(step, flow=name)) for name in ("a", "b", "c")))
    await harness.run(replace(step, flow="a"))
    assert time.monotonic() - start >= MINUTE
    limiter = RateLimiter()
    assert [limiter.wait_seconds(flow, 1) for flow in ("a", "b", "c")] == [0, 0, 0]
    assert limiter.wait_seconds("a", 1) > 0


async def test_a_step_that_is_cancelled_while_it_waits_for_its_turn_ends_at_once():
    harness = a_harness("ok", "unused", retries=ModelRetryPolicy(in_place=100))
    step = a_step(a_crew(max_rpm=1))
    await harness.run(step)
    task = asyncio.create_task(harness.run(step))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(harness.session.reserved) == len(harness.script.prompts) == 1


def test_turns_are_given_in_order():
    limiter = RateLimiter(60)
    waits = [limiter.wait_seconds("me", 2) for _ in range(6)]
    assert waits[:2] == [0, 0]
    assert all(50 < wait <= 60 for wait in waits[2:4])
    assert all(110 < wait <= 120 for wait in waits[4:])
    assert limiter.wait_seconds("anybody", None) == 0


def test_an_agent_is_forgotten_after_a_quiet_minute():
    limiter = RateLimiter(0.05)
    limiter.wait_seconds("me", 1)
    time.sleep(0.1)
    limiter.wait_seconds("you", 1)
    assert list(limiter._starts) == ["you"]
