"""What ends a step before it has an answer: its session, its worker, its own bounds."""

import asyncio
import threading
from collections import deque
from threading import Event
from typing import Any

import pytest

from core.costs.usage import Usage
from core.crews.crew_runner import StepFailedError, ToolContext
from core.crews.ledger import ExpiredError, FencedError
from core.errors import UnavailableError
from tests.crewai_parts import (
    INPUT,
    RunnerHarness,
    Script,
    ScriptedLLM,
    a_crew,
    a_harness,
    a_step,
    native_call,
    react_call,
)


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def ended(step: str) -> None:
    """Wait for the threads of a step: nobody else does, once it was cancelled."""
    for thread in threading.enumerate():
        if thread.name == step:
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()


@pytest.mark.parametrize("error", [FencedError, ExpiredError, UnavailableError])
@pytest.mark.parametrize("allowed", range(6))  # calls of the session in a step with one tool
@pytest.mark.parametrize("native", [False, True])
async def test_what_the_session_raises_stops_the_step_wherever_it_comes(
    allowed: int, native: bool, error: type[Exception]
):
    call = [native_call("size", file=INPUT)] if native else react_call("size", file=INPUT)
    harness = a_harness(call, "unused", native=native)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    asked_before = list[int]()

    def before(_method: str) -> None:
        if len(harness.session.calls) == allowed:
            asked_before.append(len(harness.script.prompts))
            raise error("no")

    harness.session.before = before
    with pytest.raises(error):
        await harness.run(a_step(a_crew(tools=("size",))))
    assert len(harness.script.prompts) == asked_before[0]  # none after it
    assert len(harness.session.calls) == allowed


async def test_a_cancelled_step_calls_its_model_no_more_and_settles_the_call_under_way():
    loop, asked, cancelled = asyncio.get_running_loop(), asyncio.Event(), Event()

    def reply() -> str:
        loop.call_soon_threadsafe(asked.set)
        assert cancelled.wait(20)
        return react_call("size", file=INPUT)

    harness = a_harness(reply, "unused")
    task = asyncio.create_task(harness.run(a_step(a_crew(tools=("size",)))))
    await asked.wait()
    await cancel(task)
    cancelled.set()
    await ended("one")
    assert len(harness.script.prompts) == 1
    assert (harness.session.calls[-1], harness.session.lost) == ("settle", 0)


async def test_a_step_cancelled_while_its_money_is_held_gives_it_back_and_makes_no_call():
    loop, holding, cancelled = asyncio.get_running_loop(), asyncio.Event(), Event()
    harness = a_harness("unused")

    def before(method: str) -> None:
        if method == "reserve":
            loop.call_soon_threadsafe(holding.set)
            assert cancelled.wait(20)

    harness.session.before = before
    task = asyncio.create_task(harness.run(a_step(a_crew())))
    await holding.wait()
    await cancel(task)
    cancelled.set()
    await ended("one")
    assert harness.script.prompts == []
    assert harness.usages == [Usage()]


async def test_after_a_cancellation_no_tool_and_no_guardrail_calls_a_model():
    loop, begun, cancelled = asyncio.get_running_loop(), asyncio.Event(), Event()

    def wait(_output: Any, _inputs: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert cancelled.wait(20)

    harness = a_harness("ok", "unused", guardrails={"wait": wait})
    guarded = a_crew(one={"guardrails": ["wait", "Be polite to everybody."]})
    task = asyncio.create_task(harness.run(a_step(guarded)))
    await begun.wait()
    await cancel(task)
    cancelled.set()
    await ended("one")

    begun.clear()
    cancelled.clear()
    inner = RunnerHarness(Script(deque(["unused"])), harness.runner, harness.blobs)

    def asks(_context: ToolContext) -> str:
        """Ask a model oneself."""
        wait(None, {})
        return str(ScriptedLLM(model="m", script=inner.script).call([]))

    outer = a_harness([native_call("asks")], "unused", native=True, asks=asks)
    task = asyncio.create_task(outer.run(a_step(a_crew(tools=("asks",)))))
    await begun.wait()
    await cancel(task)
    cancelled.set()
    await ended("one")
    assert [len(o.script.prompts) for o in (harness, inner, outer)] == [1, 0, 1]


async def test_a_tool_that_calls_a_model_itself_pays_for_it():
    script = Script(deque(["42"]))

    def asks(_context: ToolContext) -> str:
        """Ask a model oneself."""
        return str(ScriptedLLM(model="openai/gpt-4o", script=script).call([]))

    harness = a_harness([native_call("asks")], "ok", native=True, asks=asks)
    await harness.run(a_step(a_crew(tools=("asks",))))
    models = [model for model, _ in harness.session.reserved]
    assert models == ["openai/gpt-4o-mini", "openai/gpt-4o", "openai/gpt-4o-mini"]
    assert harness.session.lost == 0


async def test_an_agent_that_never_answers_is_stopped_before_it_is_forced_to():
    harness = a_harness(*[react_call("size", file=INPUT)] * 9)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    with pytest.raises(StepFailedError, match="no answer in 3 rounds"):
        await harness.run(a_step(a_crew(tools=("size",), max_iter=3)))
    assert (len(harness.usages), harness.session.lost) == (3, 0)


async def test_steps_beyond_the_cores_run_at_once_and_leave_the_default_pool_alone():
    many = 40
    all_wait = threading.Barrier(many, timeout=30)

    def reply() -> str:
        all_wait.wait()
        return "ok"

    harnesses = [a_harness(reply) for _ in range(many)]
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*(harness.run(a_step(a_crew())) for harness in harnesses))
    assert [result["raw"] for result in results] == ["ok"] * many
    assert getattr(loop, "_default_executor", None) is None
