"""The offline model: a model for CrewAI that needs no key, no network and no luck.

It is handed the prompt that any model would be handed, and as data what it is asked
(`core.adapters.crewai.asked`). What it can do with these, in this order: call the tool that the
task names when the prompt holds the arguments; hand on what the tool said; plan, put together, vote
and check as `teamwork` says; ask the skills of crews, each a function of the prompt's text
that answers or declines; and else quote the sentences of the context that are nearest to the task
and to the agent's goal. It never makes text up, and its answers say whose they are.

Tokens are counted as four characters each, rounded up, over the messages and the tools' schemas.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from crewai.events.types.llm_events import LLMCallType
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import BaseLLM, LLMCallBlockedError, llm_call_context
from pydantic import BaseModel, Field

from core.adapters.crewai.asked import asked
from core.adapters.crewai.failures import Failure, UnusableAnswerError
from core.adapters.offline import teamwork
from core.adapters.offline.quotes import MODEL, goal, quote, without_refusal
from core.crews.crew_runner import StepFailedError

CHARS_PER_TOKEN = 4
CONTEXT_TOKENS = 1_000_000  # a prompt is only read here; CrewAI's default of 4096 would cut it
CHUNKS = 6
_REASON_CHARACTERS = 500

Skill = Callable[[str], str | None]
ToolCall = dict[str, Any]


class OfflineModel(BaseLLM):
    """A deterministic CrewAI LLM; `skills` are asked in order and the first answer is taken.

    `stream=True` sends an answer in a few chunks; `max_tokens` cuts it short, as a model's would.
    """

    skills: tuple[Skill, ...] = Field(default=(), exclude=True)

    def __init__(self, skills: Sequence[Skill] = (), **settings: Any) -> None:
        own: dict[str, Any] = {"model": MODEL, "provider": "crewline", "skills": tuple(skills)}
        super().__init__(**own | settings)

    def supports_function_calling(self) -> bool:
        """Tools come as schemas and go as calls, not as ReAct text."""
        return True

    def supports_stop_words(self) -> bool:
        """Nothing is generated that could run on."""
        return False

    def get_context_window_size(self) -> int:
        """In tokens. CrewAI summarises prompts and defers tool results that pass parts of it."""
        return CONTEXT_TOKENS

    def get_input_tokens_count(
        self,
        messages: Any,
        tools: list[dict[str, Any]] | None = None,
        response_model: type[BaseModel] | None = None,  # noqa: ARG002 -- CrewAI's signature
    ) -> int:
        """Count the tokens of messages and tools."""
        return _tokens(messages if isinstance(messages, str) else _text(messages)) + _tokens(
            json.dumps(tools, default=str) if tools else ""
        )

    def call(
        self,
        messages: Any,
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """Answer the messages: text, an instance of `response_model`, or a list of tool calls.

        Emits started and completed (with usage), failed, or denied when a hook stops the call.
        """
        source = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(
                messages,
                tools=tools,
                callbacks=callbacks,
                available_functions=available_functions,
                **source,
            )
            try:
                chat: list[Any] = self._format_messages(messages)
                self._invoke_before_llm_call_hooks(chat, from_agent)
                return self._complete(chat, tools, response_model, source)
            except (HookAborted, LLMCallBlockedError) as denial:
                self._emit_call_denied_event(denial, **source)
                raise
            except Exception as error:
                self._emit_call_failed_event(f"offline model: {error}", **source)
                raise

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as `call` does: there is nothing to wait for."""
        return self.call(*args, **kwargs)

    def _complete(
        self,
        chat: list[Any],
        tools: list[dict[str, Any]] | None,
        response_model: type[BaseModel] | None,
        source: dict[str, Any],
    ) -> Any:
        calls = tool_calls(chat, tools or [])
        if calls:
            said, answer, kind, finish = (
                json.dumps(calls),
                calls,
                LLMCallType.TOOL_CALL,
                "tool_calls",
            )
        else:
            said, finish = self._cut(self._answer(chat))
            self._stream(said, source)
            answer = self._validate_structured_output(said, response_model)
            kind = LLMCallType.LLM_CALL
        usage = _usage(self.get_input_tokens_count(chat, tools), _tokens(said))
        self._track_token_usage_internal(usage)
        self._emit_call_completed_event(
            answer, kind, messages=chat, usage=usage, finish_reason=finish, **source
        )
        return answer

    def _answer(self, chat: list[Any]) -> str:
        observation = _observation(chat)
        if observation is not None:
            return _without_failure(observation)
        prompt, system = without_refusal(_said_by("user", chat)), _said_by("system", chat)

        def own(asked: str) -> str:
            whole = f"{system}\n\n{asked}" if system else asked
            answers = (_skilled(skill, whole) for skill in self.skills)
            known = next((answer for answer in answers if answer is not None), None)
            return known or quote(asked, goal(system))

        return teamwork.answer(asked.get(), prompt, own) or own(prompt)

    def _cut(self, text: str) -> tuple[str, str]:
        limit = int(self.max_tokens) * CHARS_PER_TOKEN if self.max_tokens else len(text)
        return text[:limit], "stop" if len(text) <= limit else "length"

    def _stream(self, text: str, source: dict[str, Any]) -> None:
        if self._effective_stream():
            size = max(1, -(-len(text) // CHUNKS))
            for start in range(0, len(text), size):
                self._emit_stream_chunk_event(
                    text[start : start + size], call_type=LLMCallType.LLM_CALL, **source
                )


def tool_calls(chat: Sequence[Any], tools: Sequence[dict[str, Any]]) -> list[ToolCall]:
    """Call the first tool that the task names and whose required arguments the prompt holds.

    No tool is called twice: once there is an observation, the answer is due. Arguments stand in
    the prompt as `name = value` or `name: value`.
    """
    if _observation(chat) is not None:
        return []
    prompt = without_refusal(_said_by("user", chat))
    for tool in (tool["function"] for tool in tools):
        arguments = _arguments(tool.get("parameters", {}), prompt)
        if arguments is not None and re.search(rf"\b{re.escape(tool['name'])}\b", prompt):
            function = {"name": tool["name"], "arguments": json.dumps(arguments)}
            return [{"id": f"call_{len(chat)}", "type": "function", "function": function}]
    return []


def _arguments(parameters: dict[str, Any], prompt: str) -> dict[str, str] | None:
    arguments = dict[str, str]()
    for name in parameters.get("required", ()):
        found = re.search(rf"\b{re.escape(name)}\s*[:=]\s*[\"'`]?([\w.-]*\w)", prompt)
        if not found:
            return None
        arguments[name] = found[1]
    return arguments


def _observation(chat: Sequence[Any]) -> str | None:
    """What the last tool said, if one was called."""
    said = [_content(message) for message in chat if message["role"] == "tool"]
    return said[-1] if said else None


def _without_failure(observation: str) -> str:
    """Return what a tool said. Raises UnusableAnswerError if it failed: its words are no answer."""
    if observation.startswith("Error"):
        reason = (
            f"the offline model cannot go on without its tool: {observation[:_REASON_CHARACTERS]}"
        )
        raise UnusableAnswerError(Failure(reason))
    return observation


def _said_by(role: str, chat: Sequence[Any]) -> str:
    return _text([message for message in chat if message["role"] == role])


def _text(messages: Sequence[Any]) -> str:
    return "\n\n".join(_content(message) for message in messages)


def _content(message: Any) -> str:
    content = message.get("content") or json.dumps(message.get("tool_calls", ""))
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in content)


def _tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def _skilled(skill: Skill, prompt: str) -> str | None:
    """Return a skill's answer. Its ValueErrors are words for the user, as StepFailedError."""
    try:
        return skill(prompt)
    except ValueError as error:
        raise StepFailedError(str(error)) from error


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "successful_requests": 1,
    }
