"""How a step runs through the real CrewAI, with models that read their replies from a script."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from core.costs.rates import Rates, TierRates
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage
from core.crews.crew_runner import Lesson, StepFailedError
from tests.crewai_parts import (
    INPUT,
    Agent,
    Crew,
    FlowState,
    RunnerHarness,
    ScriptedLLM,
    Task,
    TaskOutput,
    a_crew,
    a_harness,
    a_step,
    native_call,
)


def lessons_of(*texts: str) -> tuple[Lesson, ...]:
    return tuple(Lesson(f"m/{number}", text, 0.9) for number, text in enumerate(texts))


async def test_an_answer_is_the_result_and_goes_out_as_one_message_with_its_usage():
    harness = a_harness("done")
    assert await harness.run(a_step(a_crew())) == {"output": "done", "raw": "done"}
    assert harness.texts() == ["done"]
    usage = Usage(1, 10, 2, 10 * 150 + 2 * 600)
    assert harness.usages == [usage]
    [call] = harness.told("model_call")
    told = {"step": "one", "model": "openai/gpt-4o-mini", **usage.public()}
    assert call == call | told
    tokens = TokenCounts(**call["tokens"])
    kept = call["rates"]  # by which it can be reckoned again
    tiers = tuple(TierRates(**tier) for tier in kept["tiers"])
    again = Rates(kept["source"], tiers, kept["per_call"])
    assert again.cost_nanodollars(tokens) == usage.cost_nanodollars > 0


async def test_a_step_builds_no_class_of_its_own():
    harness = a_harness("ok", "ok")
    await harness.run(a_step(a_crew()))
    before = FlowState.__subclasses__()
    await harness.run(a_step(a_crew()))
    assert FlowState.__subclasses__() == before


async def test_braces_survive_in_every_text_of_a_prompt():
    harness = a_harness("ok")
    text = 'As {"x": {what}}, not {What} or {{Y}} or {tool-names} {input} {tools}'
    step = a_step(a_crew(tools=("size",)), earlier=f"told {text}")
    prompt = replace(step.prompt, description=text, expected_output=f"expect {text}")
    await harness.run(replace(step, prompt=prompt, lessons=lessons_of(f"learnt {text}")))
    asked = harness.script.asked[0]
    assert all(f"{told}{text}" in asked for told in ("", "told ", "expect ", "learnt "))


async def test_a_task_is_told_what_a_crew_would_tell_it():
    harness = a_harness("ok", "ok")
    crew = a_crew(one={}, two={}, three={"context": ["one", "two"]})
    await harness.run(a_step(crew, "three", one="first {x}", two="second"))

    stubs = [Task(description="d", expected_output="e") for _ in range(2)]
    for stub, raw in zip(stubs, ["first {x}", "second"], strict=True):
        stub.output = TaskOutput(description="d", raw=raw, agent="Clerk")
    llm = ScriptedLLM(model="m", script=harness.script)
    clerk = Agent(role="Clerk", goal="Answer.", backstory="Long in service.", llm=llm)
    task = Task(description="Do it.", expected_output="A word.", agent=clerk, context=stubs)
    await asyncio.to_thread(Crew(agents=[clerk], tasks=[task]).kickoff)

    assert harness.script.prompts[0] == harness.script.prompts[1]
    assert "first {x}\n\n----------\n\nsecond" in harness.script.asked[0]


async def test_lessons_are_told_apart_from_the_task_and_from_earlier_answers():
    harness = a_harness("ok", '{"n": 1}', '{"n": 1}')
    await harness.run(
        replace(a_step(a_crew(), earlier="so"), lessons=lessons_of("Be brief.", "Mind {x}."))
    )
    told, lessons = harness.script.asked[0].split("\n\n----------\n\n")
    assert told.endswith("so")
    assert lessons.startswith("Lessons from earlier flows")
    assert "the task counts:\n- Be brief.\n- Mind {x}." in lessons

    schema = {"type": "object", "required": ["m"]}
    step = replace(a_step(a_crew(one={"output_schema": schema})), lessons=lessons_of("Be brief."))
    harness.script.replies.append('{"m": 1}')
    await harness.run(step)
    assert all("- Be brief." in asked for asked in harness.script.asked[1:])


async def test_an_error_of_the_model_fails_the_step_once_and_keeps_its_text_to_itself():
    harness = a_harness(RuntimeError("key sk-1234 is wrong"))
    with pytest.raises(StepFailedError) as failed:
        await harness.run(a_step(a_crew()))
    assert str(failed.value) == "the agent stopped with RuntimeError"
    assert len(harness.script.prompts) == 1


async def test_two_steps_at_once_keep_their_events_and_tools_apart():
    both = Barrier(2, timeout=20)

    def reply() -> list[Any]:
        both.wait()
        return [native_call("size", file=INPUT)]

    async def one(name: str) -> RunnerHarness:
        harness = a_harness(reply, name, native=True)
        harness.blobs.put("acme", INPUT, name.encode(), "text/csv")
        assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == name
        return harness

    for harness, name in zip(await asyncio.gather(one("a"), one("bcd")), ("a", "bcd"), strict=True):
        assert (harness.texts(), harness.results()) == ([name], [f"{len(name)} bytes"])
        assert len(harness.usages) == 2


def test_importing_and_running_it_connects_to_nothing():
    probe = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(args) if name in (
    "socket.connect", "socket.getaddrinfo") else None)
import asyncio
from tests.crewai_parts import a_crew, a_step, a_harness
asyncio.run(a_harness("ok").run(a_step(a_crew())))
print(seen)
"""
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
