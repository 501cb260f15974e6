"""Real parts for tests of the CrewAI adapter: crews, scripted models, a provider over HTTP."""

import json
import os
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from core.adapters.crewai.environ import prepare_environ

prepare_environ(os.environ, os.path.expanduser("~"))  # noqa: PTH111 -- HOME stays as it is

from ag_ui.core import Event as AgUiEvent  # noqa: E402 -- the environment comes first
from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402
from crewai.tasks.task_output import TaskOutput  # noqa: E402
from pydantic import Field, TypeAdapter  # noqa: E402

from core.adapters.crewai.runner import CrewAIRunner  # noqa: E402
from core.adapters.genai_prices import GenaiPriceBook  # noqa: E402
from core.adapters.memory import MemoryBlobs  # noqa: E402
from core.crews.definition import Definition  # noqa: E402
from core.crews.ledger import Write  # noqa: E402
from core.crews.run import StepWork, Tool, ToolContext  # noqa: E402

INPUT = "in_" + "0" * 32
__all__ = ["Agent", "Crew", "Task", "TaskOutput"]  # CrewAI's own, imported in the right order

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


def size(context: ToolContext, file: str, unit: str = "bytes") -> str:
    """Tell how large an input is."""
    with context.open(file) as stream:
        return f"{len(stream.read())} {unit}"


def a_crew(
    *, tools: tuple[str, ...] = (), max_iter: int = 5, **tasks: dict[str, Any]
) -> Definition:
    agent = {
        "role": "Clerk",
        "goal": "Answer.",
        "backstory": "Long in service.",
        "tools": tools,
        "max_iter": max_iter,
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


def a_step(crew: Definition, step: str = "one", what: Any = "it", **results: str) -> StepWork:
    done = {name: {"output": raw, "raw": raw} for name, raw in results.items()}
    return StepWork("acme", "f1", crew, step, 1, {"what": what}, done)


@dataclass
class Script:
    """What a model will say, one reply a call, and what it was asked.

    A reply is text, a list of native tool calls, an exception to raise, or a function to call.
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
            reply = self.script.next(messages)
            kind = LLMCallType.LLM_CALL if isinstance(reply, str) else LLMCallType.TOOL_CALL
            self._emit_call_completed_event(reply, kind, usage=self.script.usage, **source)
            return reply


@dataclass
class Office:
    """A runner over a script, and what it posts, each event checked against AG-UI."""

    script: Script
    runner: CrewAIRunner
    blobs: MemoryBlobs
    writes: list[Write] = field(default_factory=list)

    async def run(self, work: StepWork) -> dict[str, Any]:
        return await self.runner.run(work, self.post)

    def post(self, write: Write) -> None:
        for event in write.events:
            AG_UI.validate_python(json.loads(json.dumps(event, allow_nan=False)))
        self.writes.append(write)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for write in self.writes for event in write.events]

    def kinds(self) -> list[str]:
        return [event.get("name", event["type"]) for event in self.events]

    def texts(self) -> list[str]:
        return [e["delta"] for e in self.events if e["type"] == "TEXT_MESSAGE_CONTENT"]

    def results(self) -> list[str]:
        return [e["content"] for e in self.events if e["type"] == "TOOL_CALL_RESULT"]


def an_office(
    *replies: Any,
    native: bool = False,
    model: str = "openai/gpt-4o-mini",
    llm: Callable[[], BaseLLM] | None = None,
    **tools: Tool,
) -> Office:
    script, blobs = Script(deque(replies)), MemoryBlobs()
    scripted = lambda: ScriptedLLM(model=model, script=script, native=native)  # noqa: E731 -- a default
    runner = CrewAIRunner(llm or scripted, {"size": size, **tools}, GenaiPriceBook(), blobs)
    return Office(script, runner, blobs)


def native_call(tool: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def react_call(tool: str, **arguments: Any) -> str:
    return f"Thought: I look.\nAction: {tool}\nAction Input: {json.dumps(arguments)}"


@dataclass
class Provider:
    """An OpenAI-compatible server. A reply is a message of the model, or (status, error body)."""

    url: str
    replies: deque[Any] = field(default_factory=deque[Any])
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[str | None] = field(default_factory=list[str | None])
    usage: dict[str, int] | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    )

    def answer(self, request: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        self.keys.append(key)
        reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, tuple):
            return reply
        finish = "tool_calls" if "tool_calls" in reply else "stop"
        message = {"role": "assistant", "content": None, **reply}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        body = {"id": "c1", "object": "chat.completion", "created": 0, "model": request["model"]}
        return 200, {**body, "choices": [choice], "usage": self.usage}


@contextmanager
def a_provider() -> Generator[Provider]:
    provider = Provider("")

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = provider.answer(request, self.headers["Authorization"])
            streams = request.get("stream") and status == 200
            data = _streamed(body) if streams else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def _streamed(body: dict[str, Any]) -> bytes:
    """The same answer in pieces of two characters, the usage in a piece of its own at the end."""
    message = body["choices"][0]["message"]
    text = message["content"] or ""
    deltas = [{"role": "assistant"}]
    deltas += [{"content": text[at : at + 2]} for at in range(0, len(text), 2)]
    for index, call in enumerate(message.get("tool_calls", ())):
        deltas.append({"tool_calls": [{**call, "index": index}]})
    finish = body["choices"][0]["finish_reason"]
    pieces = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    pieces.append({"index": 0, "delta": {}, "finish_reason": finish})
    whole = {**body, "object": "chat.completion.chunk", "usage": None}
    chunks = [{**whole, "choices": [piece]} for piece in pieces]
    chunks.append({**whole, "choices": [], "usage": body["usage"]})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
