"""The executor: CrewAI's loop of model calls and tools, mended where it harms answers.

It overrides private members, for which CrewAI has no public way: pyproject.toml bounds its version.
"""

import json
import re
from itertools import count
from typing import Any

from crewai.agents.agent_executor import AgentExecutor, AgentExecutorState
from crewai.flow.flow_definition import FlowDefinition
from crewai.flow.runtime import FlowState
from crewai.tools.tool_failure import ToolFailure, ToolFailureReason
from crewai.utilities.agent_utils import extract_tool_call_info
from crewai.utilities.string_utils import sanitize_tool_name
from pydantic import PrivateAttr

from core.adapters.crewai import replay
from core.adapters.crewai.tools import is_once

MOST_CALLS = 64  # of tools, in one answer
_SLOT = re.compile(r"\{(input|tool_names|tools)\}")


class _State(FlowState, AgentExecutorState):
    """What CrewAI would build as a class anew for every executor: a third of a step's time."""


class StepExecutor(AgentExecutor):
    """CrewAI's executor, but text stays text.

    What a task's text holds is never taken for a slot of the prompt. What a model answers is parsed
    in ReAct form (`Action: ...`, `Final Answer: ...`) only where it was asked for that form, which
    is where there are tools and the model cannot call them natively. Else a text that quotes such
    words, from a tenant's data say, would lose its other half or call a tool.
    """

    _counts: dict[int, "count[int]"] = PrivateAttr(
        default_factory=dict[int, "count[int]"]
    )  # by round

    @classmethod
    def flow_definition(cls) -> FlowDefinition:
        """Return the definition of CrewAI's executor: its steps are not found in a subclass."""
        return AgentExecutor.flow_definition()

    @staticmethod
    def _format_prompt(prompt: str, inputs: dict[str, str]) -> str:
        return _SLOT.sub(lambda slot: inputs[slot[1]], prompt)

    def _check_native_tool_support(self) -> bool:
        """Tell whether an answer is text or a list of calls; without tools it is always text."""
        return not self.original_tools or super()._check_native_tool_support()

    def _setup_native_tools(self) -> None:
        self._openai_tools: list[dict[str, Any]] = []
        super()._setup_native_tools()

    def _execute_single_native_tool_call(self, tool_call: Any) -> dict[str, Any]:
        """Tell the model if a call is one too many, or if its arguments are no object.

        Of the latter CrewAI's event of a call would not be made. Nothing else bounds the calls of an
        answer, each of which writes events.
        """
        info = extract_tool_call_info(tool_call)
        if info is None:
            return super()._execute_single_native_tool_call(tool_call)
        call, tool, arguments = info
        if next(self._counts.setdefault(self.iterations, count(1))) > MOST_CALLS:
            return _refused(call, tool, f"no more than {MOST_CALLS} calls in one answer")
        if not _is_object(arguments):
            return _refused(call, tool, f"the arguments of {tool} must be one JSON object")
        once = any(sanitize_tool_name(t.name) == tool and is_once(t) for t in self.original_tools)
        with replay.tool_call(tool, arguments, once=once):
            return super()._execute_single_native_tool_call(tool_call)


def _refused(call: Any, tool: Any, why: str) -> dict[str, Any]:
    """Return what CrewAI tells the model of a call that was not made."""
    message = f"Error: {why}"
    return {
        "call_id": call,
        "func_name": tool,
        "result": message,
        "from_cache": False,
        "original_tool": None,
        "tool_failure": ToolFailure(message=message, reason=ToolFailureReason.INVALID_INPUT),
    }


StepExecutor._initial_state_t = _State  # pyright: ignore[reportAttributeAccessIssue]  # noqa: SLF001 -- there is no other way to say so


def _is_object(arguments: Any) -> bool:
    """Tell whether a call's arguments are an object, or no JSON at all, which CrewAI tells itself."""
    if not isinstance(arguments, str):
        return isinstance(arguments, dict)
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return True
    except RecursionError:
        return False
