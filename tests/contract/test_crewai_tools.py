"""Tools in a step: the deployment's functions, as an agent of the real CrewAI calls them."""

import json

import pytest

from core.crews.work import StepFailedError, ToolContext
from core.errors import UnavailableError
from tests.crewai_parts import (
    INPUT,
    a_crew,
    a_harness,
    a_step,
    native_call,
    react_call,
)


async def test_a_tool_may_tell_the_user_something_within_bounds():
    def finds(context: ToolContext, text: str) -> str:
        """Find something."""
        for _ in range(21):
            context.tell(f"{text}\x07")
        return "never"

    harness = a_harness(
        [native_call("finds", text="a\nb")], [native_call("finds", text=" ")],
        [native_call("finds", text="a" * 2001)], "Final Answer: x", native=True, finds=finds,
    )  # fmt: skip
    with pytest.raises(StepFailedError, match="1 to 2000 characters"):
        await harness.run(a_step(a_crew(tools=("finds",))))
    assert harness.told("agent_insight") == [{"step": "one", "agent": "Clerk", "text": "a\nb"}] * 20
    assert "no more than 20 insights" in harness.results()[0]


@pytest.mark.parametrize("native", [False, True])
async def test_a_tool_reads_an_input_and_the_agent_gets_its_answer(native: bool):
    call = [native_call("size", file=INPUT)] if native else react_call("size", file=INPUT)
    harness = a_harness(call, "three", native=native)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert harness.results() == ["3 bytes"]
    assert "3 bytes" in harness.script.asked[1]
    assert harness.texts() == (["three"] if native else ["I look.", "three"])
    start, arguments = (
        e for e in harness.events if e["type"][:13] in {"TOOL_CALL_STA", "TOOL_CALL_ARG"}
    )
    assert start["toolCallName"] == "size"
    assert json.loads(arguments["delta"]) == {"file": INPUT}


async def test_an_event_carries_the_beginning_of_a_long_result_and_the_agent_all_of_it():
    def long(context: ToolContext) -> str:
        """Say much."""
        return f"{context.__class__.__name__} " + "x" * 50_000

    harness = a_harness([native_call("long")], "ok", native=True, long=long)
    await harness.run(a_step(a_crew(tools=("long",))))
    assert len(harness.results()[0]) == 2_001
    assert "x" * 50_000 in harness.script.asked[1]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("file", [INPUT, "../secrets"])
async def test_an_input_that_is_not_there_fails_the_step_and_says_so(native: bool, file: str):
    call = [native_call("size", file=file)] if native else react_call("size", file=file)
    harness = a_harness(call, "Final Answer: I make it up", native=native)
    harness.blobs.put("another", INPUT, b"abc", "text/csv")
    with pytest.raises(StepFailedError, match=r"the tool size failed: .*no input"):
        await harness.run(a_step(a_crew(tools=("size",))))
    assert len(harness.results()) == 1


async def test_an_agent_may_get_around_a_tool_that_fails():
    calls = [[native_call("size", file=file)] for file in ("in_wrong", INPUT)]
    harness = a_harness(*calls, "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert [result[:6] for result in harness.results()] == ["Error:", "3 byte"]


async def test_wrong_arguments_are_told_to_the_agent_and_put_right():
    calls = [[native_call("size", **arguments)] for arguments in ({"path": "x"}, {"file": INPUT})]
    harness = a_harness(*calls, "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert "Field required" in harness.results()[0]


async def test_what_a_tool_did_not_write_for_a_reader_is_not_repeated():
    def broken(_context: ToolContext) -> str:
        """Break."""
        raise KeyError("s3cret")

    harness = a_harness([native_call("broken")], "ok", native=True, broken=broken)
    with pytest.raises(StepFailedError, match="the tool broken failed: KeyError"):
        await harness.run(a_step(a_crew(tools=("broken",))))
    assert "s3cret" not in f"{harness.events}{harness.script.prompts}"


@pytest.mark.parametrize("native", [False, True])
async def test_a_store_that_does_not_answer_ends_the_step_for_another_try(native: bool):
    def away(_context: ToolContext) -> str:
        """Be away."""
        raise UnavailableError("the store does not answer")

    call = [native_call("away")] if native else react_call("away")
    harness = a_harness(call, "unused", native=native, away=away)
    with pytest.raises(UnavailableError):
        await harness.run(a_step(a_crew(tools=("away",))))
    assert len(harness.script.prompts) == 1


async def test_a_tool_that_is_not_on_the_list_fails_the_step_and_names_the_list():
    harness = a_harness()
    with pytest.raises(StepFailedError, match="no tool shell here; there are: size"):
        await harness.run(a_step(a_crew(tools=("shell",))))


async def test_an_agent_has_the_tools_of_its_assignment_and_no_others():
    harness = a_harness("ok")
    await harness.run(a_step(a_crew(one={"tools": []}, tools=("size",))))
    assert "Tell how large an input is." not in harness.script.asked[0]
