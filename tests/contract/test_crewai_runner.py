"""How a step runs through the real CrewAI, with models that read their replies from a script."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from core.costs.usage import Usage
from core.crews.work import StepFailedError
from tests.crewai_parts import (
    INPUT,
    Agent,
    Crew,
    FlowState,
    Office,
    ScriptedLLM,
    Task,
    TaskOutput,
    a_crew,
    a_step,
    an_office,
    native_call,
)


async def test_an_answer_is_the_result_and_goes_out_as_one_message_with_its_usage():
    office = an_office("Final Answer: done")
    assert await office.run(a_step(a_crew())) == {"output": "done", "raw": "done"}
    assert office.texts() == ["done"]
    usage = Usage(1, 10, 2, 10 * 150 + 2 * 600)
    assert office.usages == [usage]
    [call] = office.told("model_call")
    assert call == {"step": "one", "model": "openai/gpt-4o-mini", **usage.public()}


async def test_a_step_builds_no_class_of_its_own():
    office = an_office("ok", "ok")
    await office.run(a_step(a_crew()))
    before = FlowState.__subclasses__()
    await office.run(a_step(a_crew()))
    assert FlowState.__subclasses__() == before


async def test_braces_survive_in_every_text_of_an_assignment():
    office = an_office("ok")
    text = 'As {"x": {what}}, not {What} or {{Y}} or {tool-names} {input} {tools}'
    step = a_step(a_crew(tools=("size",)), earlier=f"told {text}")
    prompt = replace(step.prompt, description=text, expected_output=f"expect {text}")
    await office.run(replace(step, prompt=prompt, lessons=(f"learnt {text}",)))
    asked = office.script.asked[0]
    assert all(f"{told}{text}" in asked for told in ("", "told ", "expect ", "learnt "))


async def test_a_task_is_told_what_a_crew_would_tell_it():
    office = an_office("ok", "ok")
    crew = a_crew(one={}, two={}, three={"context": ["one", "two"]})
    await office.run(a_step(crew, "three", one="first {x}", two="second"))

    stubs = [Task(description="d", expected_output="e") for _ in range(2)]
    for stub, raw in zip(stubs, ["first {x}", "second"], strict=True):
        stub.output = TaskOutput(description="d", raw=raw, agent="Clerk")
    llm = ScriptedLLM(model="m", script=office.script)
    clerk = Agent(role="Clerk", goal="Answer.", backstory="Long in service.", llm=llm)
    task = Task(description="Do it.", expected_output="A word.", agent=clerk, context=stubs)
    await asyncio.to_thread(Crew(agents=[clerk], tasks=[task]).kickoff)

    assert office.script.prompts[0] == office.script.prompts[1]
    assert "first {x}\n\n----------\n\nsecond" in office.script.asked[0]


async def test_lessons_are_told_apart_from_the_task_and_from_earlier_answers():
    office = an_office("ok", '{"n": 1}', '{"n": 1}')
    await office.run(replace(a_step(a_crew(), earlier="so"), lessons=("Be brief.", "Mind {x}.")))
    told, lessons = office.script.asked[0].split("\n\n----------\n\n")
    assert told.endswith("so")
    assert lessons.startswith("Lessons from earlier flows")
    assert "the task counts:\n- Be brief.\n- Mind {x}." in lessons

    schema = {"type": "object", "required": ["m"]}
    step = replace(a_step(a_crew(one={"output_schema": schema})), lessons=("Be brief.",))
    office.script.replies.append('{"m": 1}')
    await office.run(step)
    assert all("- Be brief." in asked for asked in office.script.asked[1:])


async def test_an_error_of_the_model_fails_the_step_once_and_keeps_its_text_to_itself():
    office = an_office(RuntimeError("key sk-1234 is wrong"))
    with pytest.raises(StepFailedError) as failed:
        await office.run(a_step(a_crew()))
    assert str(failed.value) == "the agent stopped with RuntimeError"
    assert len(office.script.prompts) == 1


async def test_two_steps_at_once_keep_their_events_and_tools_apart():
    both = Barrier(2, timeout=20)

    def reply() -> list[Any]:
        both.wait()
        return [native_call("size", file=INPUT)]

    async def one(name: str) -> Office:
        office = an_office(reply, name, native=True)
        office.blobs.put("acme", INPUT, name.encode(), "text/csv")
        assert (await office.run(a_step(a_crew(tools=("size",)))))["raw"] == name
        return office

    for office, name in zip(await asyncio.gather(one("a"), one("bcd")), ("a", "bcd"), strict=True):
        assert (office.texts(), office.results()) == ([name], [f"{len(name)} bytes"])
        assert len(office.usages) == 2


def test_importing_and_running_it_connects_to_nothing():
    probe = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(args) if name in (
    "socket.connect", "socket.getaddrinfo") else None)
import asyncio
from tests.crewai_parts import a_crew, a_step, an_office
asyncio.run(an_office("ok").run(a_step(a_crew())))
print(seen)
"""
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
