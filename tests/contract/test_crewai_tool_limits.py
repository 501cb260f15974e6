"""What becomes of a step whose tool is late, fails where nothing can do without it, or is called too often."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from core.adapters.crewai.executor import MOST_CALLS
from core.crews.crew_runner import StepFailedError, Tool, ToolContext
from tests.crewai_parts import INPUT, a_crew, a_harness, a_step, native_call, react_call


def essential(tool: Tool) -> Tool:
    tool.is_essential = True  # type: ignore[attr-defined]
    return tool


@pytest.fixture
def halt():
    """Set when the test is over, so that no thread outlives it for long."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_tool_that_is_late_counts_as_its_flows_until_it_ends_and_is_not_called_again(
    halt: threading.Event,
):
    began = list[str]()

    def sleeps(_context: ToolContext) -> str:
        """Sleep."""
        began.append("")
        halt.wait(20)
        return "late"

    harness = a_harness([native_call("sleeps")], [native_call("sleeps")], "ok", native=True,
                        tool_seconds=0.05, sleeps=sleeps)  # fmt: skip
    step = a_step(a_crew(tools=("sleeps",)))
    assert (await harness.run(step))["raw"] == "ok"
    assert harness.runner.is_at_work(step.tenant, step.flow)
    assert not harness.runner.is_at_work("another", step.flow)
    slow, again = (failed["reason"] for failed in harness.told("tool_failed"))
    assert slow == "it took longer than 0.05 s"
    assert again == "an earlier call of it is still at work"
    assert len(began) == 1
    halt.set()
    async with asyncio.timeout(5):
        while harness.runner.is_at_work(step.tenant, step.flow):  # noqa: ASYNC110 -- a thread
            await asyncio.sleep(0.01)


async def test_a_step_that_is_cancelled_counts_as_its_flows_until_its_tool_ends(
    halt: threading.Event,
):
    begun, left = asyncio.Event(), list[float]()
    loop = asyncio.get_running_loop()

    def looks(context: ToolContext) -> str:
        """Work while there is time."""
        loop.call_soon_threadsafe(begun.set)
        halt.wait(20)
        left.append(context.seconds_left())
        return ""

    step = a_step(a_crew(tools=("looks",)))
    harness = a_harness([native_call("looks")], "ok", native=True, looks=looks)
    running = asyncio.create_task(harness.run(step))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert harness.runner.is_at_work(step.tenant, step.flow)
    halt.set()
    async with asyncio.timeout(5):
        while harness.runner.is_at_work(step.tenant, step.flow):  # noqa: ASYNC110 -- a thread
            await asyncio.sleep(0.01)
    assert left == [0.0]


async def test_a_tool_that_looks_at_its_time_ends_when_it_is_over():
    def works(context: ToolContext) -> str:
        """Work while there is time."""
        while context.seconds_left() > 0:
            threading.Event().wait(0.01)
        raise TimeoutError

    step = a_step(a_crew(tools=("works",)))
    harness = a_harness([native_call("works")], "ok", native=True, tool_seconds=0.1, works=works)
    assert (await harness.run(step))["raw"] == "ok"
    assert harness.told("tool_failed")[0]["reason"] == "it took longer than 0.1 s"
    async with asyncio.timeout(1):
        while harness.runner.is_at_work(step.tenant, step.flow):  # noqa: ASYNC110 -- a thread
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("why", ["late", "broken"])
async def test_a_step_fails_with_the_reason_when_its_essential_tool_does(
    why: str, native: bool, halt: threading.Event
):
    @essential
    def reads(_context: ToolContext) -> str:
        """Read it."""
        if why == "late":
            halt.wait(20)
        raise ValueError("it is broken")

    call = [native_call("reads")] if native else react_call("reads")
    harness = a_harness(call, "out of thin air", native=native, tool_seconds=0.1, reads=reads)
    said = {"late": "it took longer than 0.1 s", "broken": "it is broken"}[why]
    with pytest.raises(StepFailedError, match=f"^the tool reads failed: {said}$"):
        await harness.run(a_step(a_crew(tools=("reads",))))
    assert len(harness.script.asked) == 1


async def test_the_wrong_id_of_an_input_is_told_even_by_an_essential_tool():
    @essential
    def reads(context: ToolContext, file: str) -> str:
        """Read it."""
        with context.open(file) as stream:
            return f"{context.size(file)} {stream.read()!r}"

    calls = [[native_call("reads", file=file)] for file in ("in_wrong", INPUT)]
    harness = a_harness(*calls, "ok", native=True, reads=reads)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("reads",)))))["raw"] == "ok"
    assert harness.results()[1] == "3 b'abc'"


async def test_an_input_of_the_flow_that_was_deleted_ends_the_step_in_words():

    harness = a_harness([native_call("size", file=INPUT)], "a guess", native=True)
    step = replace(a_step(a_crew(tools=("size",))), inputs={"files": [{"one": INPUT}]})
    with pytest.raises(
        StepFailedError, match=f"the tool size failed: the input {INPUT} was deleted"
    ):
        await harness.run(step)
    assert len(harness.script.asked) == 1


async def test_of_the_calls_in_one_answer_those_beyond_the_limit_are_not_made_and_the_model_is_told():
    made = list[int]()

    def counts(_context: ToolContext, n: int) -> str:
        """Count."""
        made.append(n)
        return f"counted {n}"

    def answer(first: int, calls: int) -> list[Any]:
        numbers = range(first, first + calls)
        return [native_call("counts", n=n) | {"id": f"c{n}"} for n in numbers]

    harness = a_harness(answer(0, 200), answer(200, 10), "ok", native=True, counts=counts)
    assert (await harness.run(a_step(a_crew(tools=("counts",)))))["raw"] == "ok"
    assert len(made) == MOST_CALLS + 10  # each answer has its own
    assert harness.script.asked[1].count("no more than 64 calls in one answer") == 200 - MOST_CALLS
    assert sum(event["type"] == "TOOL_CALL_START" for event in harness.events) == MOST_CALLS + 10
