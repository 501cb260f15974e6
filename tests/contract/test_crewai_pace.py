"""max_rpm: how many model calls an agent of a flow may begin in a minute, here a short one."""

import asyncio
import time
from dataclasses import replace

import pytest

from core.adapters.crewai.pace import Pace
from tests.crewai_parts import INPUT, a_crew, a_step, an_office, native_call

MINUTE = 0.6  # seconds


async def test_calls_beyond_the_limit_wait_for_the_minute_to_pass_and_hold_no_money():
    begun: list[float] = []
    office = an_office(*[[native_call("size", file=INPUT)]] * 2, "ok", native=True,
                       minute_seconds=MINUTE)  # fmt: skip
    office.blobs.put("acme", INPUT, b"abc", "text/csv")
    office.session.before = lambda method: (
        begun.append(time.monotonic()) if method == "reserve" else None
    )
    await office.run(a_step(a_crew(tools=("size",), max_rpm=2)))
    assert begun[1] - begun[0] < MINUTE <= begun[2] - begun[0] + 0.01


async def test_steps_of_one_flow_share_the_pace_of_their_agent_and_other_flows_do_not():
    office = an_office(*["ok"] * 4, minute_seconds=MINUTE)
    step = a_step(a_crew(max_rpm=1))
    start = time.monotonic()
    await asyncio.gather(*(office.run(replace(step, flow=name)) for name in ("a", "b", "c")))
    assert time.monotonic() - start < MINUTE
    await office.run(replace(step, flow="a"))
    assert time.monotonic() - start >= MINUTE


async def test_a_step_that_is_cancelled_while_it_waits_for_its_turn_ends_at_once():
    office = an_office("ok", "unused")
    step = a_step(a_crew(max_rpm=1))
    await office.run(step)
    task = asyncio.create_task(office.run(step))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(office.session.reserved) == len(office.script.prompts) == 1


def test_turns_are_given_in_order_and_forgotten_after_a_quiet_minute():
    pace = Pace(0.05)
    waits = [pace.wait_seconds("me", 2) for _ in range(6)]
    assert waits[:2] == [0, 0]
    assert waits == sorted(waits)
    assert 0.1 - 0.01 < waits[5] <= 0.1
    time.sleep(0.2)
    pace.wait_seconds("you", 1)
    assert list(pace._moments) == ["you"]
    assert pace.wait_seconds("anybody", None) == 0
