"""Tools in a step: the deployment's functions, as an agent of the real CrewAI calls them."""

import json
import sys
import threading
import time
from typing import Any

import pytest
from crewai.tools import BaseTool

from core import logs
from core.crews.crew_runner import StepDeferredError, StepFailedError, ToolContext
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
        [native_call("finds", text="a" * 2001)], "x", native=True, finds=finds,
    )  # fmt: skip
    await harness.run(a_step(a_crew(tools=("finds",))))
    assert "1 to 2000 characters" in harness.results()[2]
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
        del context
        return "x" * 1_000_000

    harness = a_harness([native_call("long")], "ok", native=True, long=long)
    await harness.run(a_step(a_crew(tools=("long",))))
    assert harness.results() == ["x" * 2_000 + "… (998,000 characters more)"]
    assert "x" * 1_000_000 in harness.script.asked[1]


async def test_a_tool_that_ends_its_step_with_a_long_reason_ends_it_with_the_beginning_of_it():
    class FatalError(ValueError):
        is_fatal = True

    def breaks(context: ToolContext) -> str:
        """Break."""
        del context
        raise FatalError("x" * 1_000_000)

    harness = a_harness([native_call("breaks")], "ok", native=True, breaks=breaks)
    with pytest.raises(StepFailedError, match=r"the tool breaks failed: x+… \(.* more\)$") as error:
        await harness.run(a_step(a_crew(tools=("breaks",))))
    assert len(str(error.value)) < 2_100


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("file", [INPUT, "../secrets"])
async def test_an_input_that_is_not_there_is_told_to_the_agent_and_marked_in_the_log(
    native: bool, file: str
):
    call = [native_call("size", file=file)] if native else react_call("size", file=file)
    answer = "There is no such file." if native else "Final Answer: There is no such file."
    harness = a_harness(call, answer, native=native)
    harness.blobs.put("another", INPUT, b"abc", "text/csv")
    result = await harness.run(a_step(a_crew(tools=("size",))))
    assert result["raw"] == "There is no such file."
    [failed] = harness.told("tool_failed")
    started = next(e for e in harness.events if e["type"] == "TOOL_CALL_START")
    assert failed == {"step": "one", "agent": "Clerk", "tool": "size",
                      "call": started["toolCallId"], "reason": failed["reason"]}  # fmt: skip
    assert "no input" in failed["reason"]
    assert "no input" in harness.script.asked[1]


@pytest.mark.parametrize("slower", ["works", "fails"])
async def test_of_two_tools_at_once_neither_decides_alone_what_becomes_of_the_step(slower: str):
    both = threading.Barrier(2, timeout=20)

    def works(_context: ToolContext) -> str:
        """Work."""
        both.wait()
        time.sleep(0.2 if slower == "works" else 0)
        return "done"

    def fails(_context: ToolContext) -> str:
        """Fail."""
        both.wait()
        time.sleep(0.2 if slower == "fails" else 0)
        raise ValueError("no results")

    calls = [native_call("works"), native_call("fails") | {"id": "2"}]
    harness = a_harness(calls, "42", native=True, works=works, fails=fails)
    assert (await harness.run(a_step(a_crew(tools=("works", "fails")))))["raw"] == "42"
    assert [failed["tool"] for failed in harness.told("tool_failed")] == ["fails"]


async def test_an_agent_may_get_around_a_tool_that_fails():
    calls = [[native_call("size", file=file)] for file in ("in_wrong", INPUT)]
    harness = a_harness(*calls, "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert [result[:6] for result in harness.results()] == ["Error:", "3 byte"]


@pytest.mark.parametrize("native", [False, True])
async def test_a_failure_that_a_tool_calls_fatal_ends_the_step_with_its_reason(
    native: bool, caplog: pytest.LogCaptureFixture
):
    class UnreadableError(ValueError):
        is_fatal = True

    def reads(context: ToolContext) -> str:
        """Read it."""
        del context
        raise UnreadableError("The file is a photograph.")

    call = [native_call("reads")] if native else react_call("reads")
    harness = a_harness(call, "an answer out of thin air", native=native, reads=reads)
    with pytest.raises(StepFailedError, match=r"the tool reads failed: The file is a photograph\."):
        await harness.run(a_step(a_crew(tools=("reads",))))
    assert len(harness.script.asked) == 1
    assert not [record for record in caplog.records if record.exc_info]


async def test_wrong_arguments_are_told_to_the_agent_and_put_right():
    calls = [[native_call("size", **arguments)] for arguments in ({"path": "x"}, {"file": INPUT})]
    harness = a_harness(*calls, "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert "Field required" in harness.results()[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [('["x"]', "must be one JSON object"), ('"x"', "must be"), ("{", "as JSON")],
)
async def test_arguments_that_are_no_object_are_told_to_the_agent(arguments: str, said: str):
    wrong = native_call("size")
    wrong["function"]["arguments"] = arguments
    harness = a_harness([wrong], "then not", native=True)
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "then not"
    assert said in harness.script.asked[1]


async def test_of_what_a_tool_did_not_write_for_a_reader_the_log_has_the_place_alone(
    caplog: pytest.LogCaptureFixture,
):
    caplog.handler.setFormatter(logs.JsonFormatter())

    def broken(_context: ToolContext) -> str:
        """Break."""
        message = f"s3cret{len(caplog.text)}"
        raise KeyError(message)

    harness = a_harness([native_call("broken")], "ok", native=True, broken=broken)
    assert (await harness.run(a_step(a_crew(tools=("broken",)))))["raw"] == "ok"
    assert [failed["reason"] for failed in harness.told("tool_failed")] == ["KeyError"]
    assert "s3cret" not in f"{harness.events}{harness.script.prompts}"
    assert "the tool broken failed" in caplog.text
    assert "raise KeyError(message)\\nKeyError" in caplog.text
    assert "s3cret0" not in caplog.text


async def test_a_tool_that_would_end_the_process_or_takes_too_long_has_failed():
    halt = threading.Event()

    def leaves(_context: ToolContext) -> str:
        """Leave."""
        sys.exit(3)

    def sleeps(_context: ToolContext) -> str:
        """Sleep."""
        halt.wait(20)
        return "late"

    harness = a_harness([native_call("leaves")], [native_call("sleeps")], "ok", native=True,
                        tool_seconds=0.05, leaves=leaves, sleeps=sleeps)  # fmt: skip
    assert (await harness.run(a_step(a_crew(tools=("leaves", "sleeps")))))["raw"] == "ok"
    halt.set()
    ended, slow = (failed["reason"] for failed in harness.told("tool_failed"))
    assert "SystemExit" in ended
    assert slow == "it took longer than 0.05 s"


async def test_a_tool_of_crewais_own_form_is_called_without_a_context():
    class Shout(BaseTool):
        name: str = "shout"
        description: str = "Say it loudly."

        def _run(self, text: str) -> str:
            return text.upper()

    tools: dict[str, Any] = {"shout": Shout()}
    harness = a_harness([native_call("shout", text="hey")], "ok", native=True, **tools)
    await harness.run(a_step(a_crew(tools=("shout",))))
    assert harness.results() == ["HEY"]


def test_a_tool_without_a_context_is_refused_when_the_lists_are_loaded():
    def bare() -> str:
        return ""

    with pytest.raises(ValueError, match="bare must take a context"):
        a_harness(bare=bare)


@pytest.mark.parametrize("native", [False, True])
async def test_a_store_that_does_not_answer_puts_the_step_off(native: bool):
    def away(_context: ToolContext) -> str:
        """Be away."""
        raise UnavailableError("the store does not answer", 7)

    call = [native_call("away")] if native else react_call("away")
    harness = a_harness(call, "unused", native=native, away=away)
    with pytest.raises(StepDeferredError, match="the store does not answer") as deferred:
        await harness.run(a_step(a_crew(tools=("away",))))
    assert deferred.value.retry_after_seconds == 7
    assert len(harness.script.prompts) == 1


async def test_a_tool_that_is_not_on_the_list_fails_the_step_and_names_the_list():
    harness = a_harness()
    with pytest.raises(StepFailedError, match="no tool shell here; there are: size"):
        await harness.run(a_step(a_crew(tools=("shell",))))


async def test_an_agent_has_the_tools_of_its_prompt_and_no_others():
    harness = a_harness("ok")
    await harness.run(a_step(a_crew(one={"tools": []}, tools=("size",))))
    assert "Tell how large an input is." not in harness.script.asked[0]
