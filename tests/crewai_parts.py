"""Real parts for tests of the CrewAI adapter: crews, scripted models, a session that records."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.adapters.crewai.environ import prepare_environ

prepare_environ(os.environ, os.path.expanduser("~"))  # noqa: PTH111 -- HOME stays as it is

from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.flow.runtime import FlowState  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402
from crewai.tasks.task_output import TaskOutput  # noqa: E402
from pydantic import Field  # noqa: E402

from core.adapters.crewai.model_calls import ModelRetryPolicy  # noqa: E402
from core.adapters.crewai.rate_limiter import RateLimiter  # noqa: E402
from core.adapters.crewai.runner import CrewAIRunner  # noqa: E402
from core.adapters.memory import MemoryBlobs  # noqa: E402
from core.adapters.price_catalogues import CataloguePriceBook  # noqa: E402
from core.costs.usage import Usage  # noqa: E402
from core.crews.crew_runner import (  # noqa: E402
    ContextItem,
    Guardrail,
    Prompt,
    StepKind,
    StepTask,
    Tool,
    ToolContext,
)
from core.crews.definition import Definition  # noqa: E402
from core.flows.events import Event  # noqa: E402
from tests.recorder import Recorder  # noqa: E402

QUICK = ModelRetryPolicy(base=0.01)  # for providers that fail at once
INPUT = "in_" + "0" * 32
__all__ = [
    "Agent",
    "Crew",
    "FlowState",
    "Task",
    "TaskOutput",
]  # CrewAI's own, imported in the right order


def size(context: ToolContext, file: str, unit: str = "bytes") -> str:
    """Tell how large an input is."""
    with context.open(file) as stream:
        return f"{len(stream.read())} {unit}"


def a_crew(
    *,
    tools: tuple[str, ...] = (),
    max_iter: int = 5,
    max_rpm: int | None = None,
    **tasks: dict[str, Any],
) -> Definition:
    agent = {
        "role": "Clerk",
        "goal": "Answer.",
        "backstory": "Long in service.",
        "tools": list(tools),
        "max_iter": max_iter,
        "max_rpm": max_rpm,
    }
    text = {"description": "Do {what}.", "expected_output": "A word.", "agent": "clerk"}
    return Definition.model_validate(
        {
            "name": "office",
            "description": "Answers.",
            "process": "sequential",
            "inputs": {"type": "object", "properties": {"what": {}}},
            "agents": {"clerk": agent},
            "tasks": {name: {**text, **task} for name, task in (tasks or {"one": {}}).items()},
        }
    )


def a_step(crew: Definition, step: str = "one", what: str = "it", **told: str) -> StepTask:
    """Return what a strategy would make of a task; `told` are the earlier tasks' answers."""
    task = crew.tasks[step]
    assert task.agent is not None
    agent = crew.agents[task.agent]
    prompt = Prompt(
        step=step,
        kind=StepKind.TASK,
        task=step,
        agent=task.agent,
        description=task.description.replace("{what}", what),
        expected_output=task.expected_output,
        context=tuple(ContextItem(name, agent.role, text) for name, text in told.items()),
        output_schema=task.output_schema,
        tools=tuple(agent.tools if task.tools is None else task.tools),
        guardrails=tuple(task.guardrails),
    )
    return StepTask("acme", "f1", crew, prompt, 1, {"what": what})


@dataclass
class Script:
    """What a model will say, one reply a call, and what it was asked.

    A reply is text, an iterator over its pieces, a list of native tool calls, an exception to raise,
    or a function that returns one of these.
    """

    replies: deque[Any]
    prompts: list[list[dict[str, Any]]] = field(default_factory=list)
    usage: dict[str, int] | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 2}
    )

    @property
    def asked(self) -> list[str]:
        """The text of each prompt."""
        return ["\n".join(str(message["content"]) for message in p) for p in self.prompts]

    def next(self, messages: Any) -> Any:
        self.prompts.append([dict(message) for message in messages])
        reply = self.replies.popleft()
        reply = reply() if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return reply


class ScriptedLLM(BaseLLM):
    """A CrewAI LLM that reads from a script. `native` calls tools by schema, else as ReAct text."""

    script: Script = Field(exclude=True)
    native: bool = False

    def supports_function_calling(self) -> bool:
        return self.native

    def _streamed(self, reply: Any, source: dict[str, Any]) -> Any:
        """Return a reply; one that comes piece by piece is streamed."""
        if not isinstance(reply, Iterator):
            return reply
        said = ""
        for piece in reply:
            self._emit_stream_chunk_event(piece, call_type=LLMCallType.LLM_CALL, **source)
            said += piece
        return said

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        del callbacks, available_functions, response_model
        source = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, **source)
            try:
                reply = self._streamed(self.script.next(messages), source)
            except Exception as error:
                self._emit_call_failed_event(str(error), **source)
                raise
            kind = LLMCallType.LLM_CALL if isinstance(reply, str) else LLMCallType.TOOL_CALL
            self._emit_call_completed_event(reply, kind, usage=self.script.usage, **source)
            return reply


@dataclass
class RunnerHarness:
    """A runner over a script, and the session that its steps report to."""

    script: Script
    runner: CrewAIRunner
    blobs: MemoryBlobs
    session: Recorder = field(default_factory=Recorder)

    async def run(self, work: StepTask) -> dict[str, Any]:
        return await self.runner.run(work, self.session)

    @property
    def events(self) -> list[Event]:
        return self.session.events

    @property
    def usages(self) -> list[Usage]:
        return self.session.usages

    def told(self, name: str) -> list[Any]:
        """The values of the custom events of a name."""
        return [event["value"] for event in self.events if event.get("name") == name]

    def texts(self) -> list[str]:
        return [e["delta"] for e in self.events if e["type"] == "TEXT_MESSAGE_CONTENT"]

    def results(self) -> list[str]:
        return [e["content"] for e in self.events if e["type"] == "TOOL_CALL_RESULT"]


def a_harness(
    *replies: Any,
    native: bool = False,
    model: str = "openai/gpt-4o-mini",
    llm: Callable[[], BaseLLM] | None = None,
    guardrails: Mapping[str, Guardrail] | None = None,
    minute_seconds: float = 60.0,
    retries: ModelRetryPolicy = QUICK,
    tool_seconds: float = 20.0,
    **tools: Tool,
) -> RunnerHarness:
    script, blobs = Script(deque(replies)), MemoryBlobs()
    scripted = lambda: ScriptedLLM(model=model, script=script, native=native)  # noqa: E731 -- a default
    runner = CrewAIRunner(
        llm or scripted,
        {"size": size, **tools},
        guardrails or {},
        CataloguePriceBook(),
        blobs,
        rate_limiter=RateLimiter(minute_seconds),
        retries=retries,
        tool_seconds=tool_seconds,
    )
    return RunnerHarness(script, runner, blobs)


def native_call(tool: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def react_call(tool: str, **arguments: Any) -> str:
    return f"Thought: I look.\nAction: {tool}\nAction Input: {json.dumps(arguments)}"
