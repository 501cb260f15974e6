"""How a step runs through the real CrewAI, with models that read their replies from a script."""

import asyncio
import json
import subprocess
import sys
from threading import Barrier, Event
from typing import Any

import pytest

from core.costs.usage import Usage
from core.crews.ledger import FencedError, Write
from core.crews.run import StepFailedError, ToolContext
from core.errors import UnavailableError
from tests.crewai_parts import (
    INPUT,
    Agent,
    Crew,
    Office,
    ScriptedLLM,
    Task,
    TaskOutput,
    a_crew,
    a_step,
    an_office,
    native_call,
    react_call,
)

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}


async def test_an_answer_is_the_result_and_goes_out_as_one_message_with_its_usage():
    office = an_office("Final Answer: done")
    assert await office.run(a_step(a_crew())) == {"output": "done", "raw": "done"}
    assert office.texts() == ["done"]
    [write] = office.writes
    assert write.usage == Usage(1, 10, 2, 10 * 150 + 2 * 600)
    assert write.events[-1]["value"]["model"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a {b} {what} {input} {tools}", "a {b} {what} {input} {tools}"),
        ({"k": ["ä", None]}, '{"k": ["ä", null]}'),
    ],
)
async def test_inputs_are_filled_in_and_braces_survive(what: Any, told: str):
    office = an_office("ok")
    task = {"description": 'As {"x": {what}}, not {What} or {{Y}} or {tool-names}'}
    await office.run(a_step(a_crew(one=task, tools=("size",)), what=what))
    expected = 'As {"x": TOLD}, not {What} or {{Y}} or {tool-names}'.replace("TOLD", told)
    assert expected in office.script.asked[0]


async def test_a_tool_may_tell_the_user_something_within_bounds():
    def finds(context: ToolContext, text: str) -> str:
        """Find something."""
        for _ in range(21):
            context.tell(f"{text}\x07")
        return "never"

    office = an_office(
        [native_call("finds", text="a\nb")], [native_call("finds", text=" ")],
        [native_call("finds", text="a" * 2001)], "Final Answer: x", native=True, finds=finds,
    )  # fmt: skip
    with pytest.raises(StepFailedError, match="1 to 2000 characters"):
        await office.run(a_step(a_crew(tools=("finds",))))
    told = [event["value"] for event in office.events if event.get("name") == "agent_insight"]
    assert told == [{"step": "one", "agent": "Clerk", "text": "a\nb"}] * 20
    assert "no more than 20 insights" in office.results()[0]


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


@pytest.mark.parametrize("native", [False, True])
async def test_a_tool_reads_an_input_and_the_agent_gets_its_answer(native: bool):
    call = [native_call("size", file=INPUT)] if native else react_call("size", file=INPUT)
    office = an_office(call, "three", native=native)
    office.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await office.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert office.results() == ["3 bytes"]
    assert "3 bytes" in office.script.asked[1]
    assert office.texts() == (["three"] if native else ["I look.", "three"])
    start, arguments = (
        e for e in office.events if e["type"][:13] in {"TOOL_CALL_STA", "TOOL_CALL_ARG"}
    )
    assert start["toolCallName"] == "size"
    assert json.loads(arguments["delta"]) == {"file": INPUT}


async def test_an_event_carries_the_beginning_of_a_long_result_and_the_agent_all_of_it():
    def long(context: ToolContext) -> str:
        """Say much."""
        return f"{context.__class__.__name__} " + "x" * 50_000

    office = an_office([native_call("long")], "ok", native=True, long=long)
    await office.run(a_step(a_crew(tools=("long",))))
    assert len(office.results()[0]) == 2_001
    assert "x" * 50_000 in office.script.asked[1]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("file", [INPUT, "../secrets"])
async def test_an_input_that_is_not_there_fails_the_step_and_says_so(native: bool, file: str):
    call = [native_call("size", file=file)] if native else react_call("size", file=file)
    office = an_office(call, "Final Answer: I make it up", native=native)
    office.blobs.put("another", INPUT, b"abc", "text/csv")
    with pytest.raises(StepFailedError, match=r"the tool size failed: .*no input"):
        await office.run(a_step(a_crew(tools=("size",))))
    assert len(office.results()) == 1


async def test_an_agent_may_get_around_a_tool_that_fails():
    calls = [[native_call("size", file=file)] for file in ("in_wrong", INPUT)]
    office = an_office(*calls, "three", native=True)
    office.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await office.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert [result[:6] for result in office.results()] == ["Error:", "3 byte"]


async def test_wrong_arguments_are_told_to_the_agent_and_put_right():
    calls = [[native_call("size", **arguments)] for arguments in ({"path": "x"}, {"file": INPUT})]
    office = an_office(*calls, "three", native=True)
    office.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await office.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert "Field required" in office.results()[0]


async def test_what_a_tool_did_not_write_for_a_reader_is_not_repeated():
    def broken(_context: ToolContext) -> str:
        """Break."""
        raise KeyError("s3cret")

    office = an_office([native_call("broken")], "ok", native=True, broken=broken)
    with pytest.raises(StepFailedError, match="the tool broken failed: KeyError"):
        await office.run(a_step(a_crew(tools=("broken",))))
    assert "s3cret" not in f"{office.events}{office.script.prompts}"


@pytest.mark.parametrize("native", [False, True])
async def test_a_store_that_does_not_answer_ends_the_step_for_another_try(native: bool):
    def away(_context: ToolContext) -> str:
        """Be away."""
        raise UnavailableError("the store does not answer")

    call = [native_call("away")] if native else react_call("away")
    office = an_office(call, "unused", native=native, away=away)
    with pytest.raises(UnavailableError):
        await office.run(a_step(a_crew(tools=("away",))))
    assert len(office.script.prompts) == 1


async def test_a_tool_that_is_not_on_the_list_fails_the_step_and_names_the_list():
    office = an_office()
    with pytest.raises(StepFailedError, match="no tool shell here; there are: size"):
        await office.run(a_step(a_crew(tools=("shell",))))


async def test_tools_of_a_task_replace_those_of_its_agent():
    office = an_office("ok")
    await office.run(a_step(a_crew(one={"tools": []}, tools=("size",))))
    assert "Tell how large an input is." not in office.script.asked[0]


async def test_an_answer_that_does_not_fit_is_told_to_the_model_and_repaired():
    office = an_office('{"n": "x"}', '```json\n{"n": 1}\n```')
    crew = a_crew(one={}, two={"output_schema": SCHEMA})
    result = await office.run(a_step(crew, "two", one="kept"))
    assert result == {"output": {"n": 1}, "raw": '```json\n{"n": 1}\n```'}
    first, second = office.script.asked
    assert json.dumps(SCHEMA) in first
    assert "at $.n: 'x' is not of type 'number'" in second
    assert "kept" in second


async def test_an_answer_that_never_fits_fails_the_step():
    office = an_office('{"n": NaN}', '{"n": 1e999}', "{}")
    with pytest.raises(StepFailedError, match=r"output_schema: at \$: 'n' is a required property"):
        await office.run(a_step(a_crew(one={"output_schema": SCHEMA})))
    assert "NaN is not JSON" in office.script.asked[1]
    assert "1e999 is not JSON" in office.script.asked[2]


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("native", [False, True])
async def test_a_fence_stops_the_step_wherever_it_comes(allowed: int, native: bool):
    call = [native_call("size", file=INPUT)] if native else react_call("size", file=INPUT)
    office = an_office(call, "unused", native=native)
    office.blobs.put("acme", INPUT, b"abc", "text/csv")

    def post(write: Write) -> None:
        if len(office.writes) == allowed:
            raise FencedError
        office.post(write)

    with pytest.raises(FencedError):
        await office.runner.run(a_step(a_crew(tools=("size",))), post)
    assert len(office.script.prompts) == 1


async def test_a_cancelled_step_calls_its_model_no_more():
    loop, asked, cancelled = asyncio.get_running_loop(), asyncio.Event(), Event()

    def reply() -> str:
        loop.call_soon_threadsafe(asked.set)
        cancelled.wait(20)
        return react_call("size", file=INPUT)

    office = an_office(reply, "unused")
    task = asyncio.create_task(office.run(a_step(a_crew(tools=("size",)))))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    cancelled.set()
    await loop.shutdown_default_executor()
    assert len(office.script.prompts) == 1


async def test_an_agent_that_never_answers_is_stopped_before_it_is_forced_to():
    office = an_office(*[react_call("size", file=INPUT)] * 9)
    office.blobs.put("acme", INPUT, b"abc", "text/csv")
    with pytest.raises(StepFailedError, match="no answer in 3 rounds"):
        await office.run(a_step(a_crew(tools=("size",), max_iter=3)))
    assert office.kinds().count("model_call") == 3


async def test_usage_that_nobody_tells_is_estimated():
    office = an_office("x" * 40, model="openai/nobody-knows-this")
    office.script.usage = None
    await office.run(a_step(a_crew()))
    [usage] = [write.usage for write in office.writes]
    assert usage is not None
    assert usage.output_tokens == 10
    assert len(office.script.asked[0]) / 4 < usage.input_tokens < len(office.script.asked[0])
    assert (usage.unpriced_calls, usage.cost_nanodollars) == (1, 0)


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
        assert office.kinds().count("model_call") == 2


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
