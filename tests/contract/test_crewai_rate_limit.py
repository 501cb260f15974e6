"""max_rpm: how many model calls an agent of a flow may begin in a minute, here a short one."""

import asyncio
import time
from dataclasses import replace

import pytest

from core.adapters.crewai.rate_limiter import RateLimiter
from tests.crewai_parts import INPUT, a_crew, a_harness, a_step, native_call

MINUTE = 0.6  # seconds


async def test_calls_beyond_the_limit_wait_for_the_minute_to_pass_and_hold_no_money():
    begun: list[float] = []
    harness = a_harness(*[[native_call("size", file=INPUT)]] * 2, "ok", native=True,
                       minute_seconds=MINUTE)  # fmt: skip
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    harness.session.before = lambda method: (
        begun.append(time.monotonic()) if method == "reserve" else None
    )
    await harness.run(a_step(a_crew(tools=("size",), max_rpm=2)))
    assert begun[1] - begun[0] < MINUTE <= begun[2] - begun[0] + 0.01


async def test_steps_of_one_flow_share_the_pace_of_their_agent_and_other_flows_do_not():
    harness = a_harness(*["ok"] * 4, minute_seconds=MINUTE)
    step = a_step(a_crew(max_rpm=1))
    start = time.monotonic()
    await asyncio.gather(*(harness.run(replace(step, flow=name)) for name in ("a", "b", "c")))
    assert time.monotonic() - start < MINUTE
    await harness.run(replace(step, flow="a"))
    assert time.monotonic() - start >= MINUTE


async def test_a_step_that_is_cancelled_while_it_waits_for_its_turn_ends_at_once():
    harness = a_harness("ok", "unused")
    step = a_step(a_crew(max_rpm=1))
    await harness.run(step)
    task = asyncio.create_task(harness.run(step))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(harness.session.reserved) == len(harness.script.prompts) == 1


def test_turns_are_given_in_order_and_forgotten_after_a_quiet_minute():
    limiter = RateLimiter(0.05)
    waits = [limiter.wait_seconds("me", 2) for _ in range(6)]
    assert waits[:2] == [0, 0]
    assert waits == sorted(waits)
    assert 0.1 - 0.01 < waits[5] <= 0.1
    time.sleep(0.2)
    limiter.wait_seconds("you", 1)
    assert list(limiter._starts) == ["you"]
    assert limiter.wait_seconds("anybody", None) == 0
