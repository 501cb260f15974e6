"""Reporting: what CrewAI emits while a step runs, as AG-UI events and usage.

CrewAI calls a sink synchronously, in the order of emission, in whichever thread it happens. It
swallows some of what a sink raises, so what stops a step is kept in its Standing: once that is
set, every later event and the hook before the next model call raise.
"""

import itertools
import json
from typing import Any

from crewai.agents.parser import AgentFinish, OutputParserError, parse
from crewai.events import (
    LLMCallCompletedEvent,
    LLMCallFailedEvent,
    LLMCallStartedEvent,
    LLMStreamChunkEvent,
    ToolUsageErrorEvent,
    ToolUsageFinishedEvent,
    ToolUsageStartedEvent,
)
from crewai.events.types.llm_events import LLMCallType
from crewai.hooks.dispatch import HookAborted
from crewai.types.usage_metrics import UsageMetrics

from core import events
from core.adapters.crewai.failures import Standing
from core.costs.prices import PriceBook, priced
from core.costs.usage import Usage
from core.crews.ledger import Write
from core.crews.run import Post, StepWork

_RESULT_CHARACTERS = 2_000  # of a tool's result in its event; the agent gets all of it
_INSIGHT_CHARACTERS, _INSIGHTS = 2_000, 20  # of one, and in one attempt at a step
_CHARACTERS_PER_TOKEN = 4


class StepReport:
    """Turns one step's CrewAI events into writes, each as it happens."""

    def __init__(self, work: StepWork, post: Post, prices: PriceBook, standing: Standing) -> None:
        self._work = work
        self._post = post
        self._prices = prices
        self._standing = standing
        self._numbers = itertools.count(1)
        self._prompts: dict[str, int] = {}  # characters sent, by the id of an open call
        self._insights = itertools.count(1)
        self._counted: set[str] = set()
        self._streamed: dict[str, str] = {}  # message ids, by the id of the call that writes it

    def sink(self, source: Any, event: Any) -> None:
        """Take one event of CrewAI. Raises what stopped the step."""
        self._standing.raise_if_stopped()
        write = self._write(source, event)
        if write is not None:
            self._send(write)

    def insight(self, text: str) -> None:
        """Show the user what an agent found. Raises ValueError if that is too much in one step."""
        words = "".join(c for c in text if c.isprintable() or c == "\n").strip()
        if not words or len(words) > _INSIGHT_CHARACTERS:
            raise ValueError(f"an insight has 1 to {_INSIGHT_CHARACTERS} characters")
        if next(self._insights) > _INSIGHTS:
            raise ValueError(f"no more than {_INSIGHTS} insights in one step")
        task = self._work.definition.tasks[self._work.step]
        agent = self._work.definition.agents[task.agent].role
        told = {"step": self._work.step, "agent": agent, "text": words}
        self._send(Write(events.custom("agent_insight", told)))

    def _send(self, write: Write) -> None:
        try:
            self._post(write)
        except Exception as error:
            self._standing.stopped = error
            raise

    def before_model_call(self, _context: Any) -> None:
        """Refuse the call if the step was stopped; CrewAI lets no other exception through here."""
        if self._standing.stopped is not None:
            raise HookAborted("the step was stopped")

    def _write(self, source: Any, event: Any) -> Write | None:
        match event:
            case LLMCallStartedEvent():
                self._prompts[event.call_id] = _characters([event.messages, event.tools])
            case LLMCallCompletedEvent() if event.call_id not in self._counted:
                return self._answered(source, event)
            case _:
                if told := self._told(event):
                    return Write(told)
        return None

    def _told(self, event: Any) -> list[events.Event]:
        """Return what an event says that costs nothing."""
        match event:
            case LLMStreamChunkEvent() if event.chunk and event.tool_call is None:
                return self._piece(event.call_id, event.chunk)
            case LLMCallFailedEvent() if event.call_id in self._streamed:
                return events.text_end(self._streamed.pop(event.call_id))
            case ToolUsageStartedEvent():
                return _tool_called(event)
            case ToolUsageFinishedEvent() if event.started_event_id:
                return _tool_answered(event.started_event_id, event.output)
            case ToolUsageErrorEvent() if event.started_event_id:
                return _tool_answered(event.started_event_id, event.error)
            case _:
                return []

    def _answered(self, source: Any, event: LLMCallCompletedEvent) -> Write:
        self._counted.add(event.call_id)
        model = _model(source, event)
        usage = self._usage(model, event)
        call = events.model_call(self._work.step, model, usage)
        return Write([*self._said(event), *call], usage)

    def _usage(self, model: str, event: LLMCallCompletedEvent) -> Usage:
        """Return the call's usage: the provider's, or an estimate.

        Some providers tell none, such as OpenAI-compatible servers. A call is never free for
        that: four characters then count as a token, which is about right for English.
        """
        sent = self._prompts.pop(event.call_id, 0)
        told = UsageMetrics.from_provider_dict(event.usage or {})
        if told is not None and told.prompt_tokens + told.completion_tokens > 0:
            return priced(self._prices, model, told.prompt_tokens, told.completion_tokens)
        received = _characters(event.response)
        return priced(self._prices, model, _tokens(sent), _tokens(received))

    def _said(self, event: LLMCallCompletedEvent) -> list[events.Event]:
        """Return the answer as a message, or the end of the one in which it was streamed.

        A call of a tool alone is none.
        """
        if event.call_id in self._streamed:
            return events.text_end(self._streamed.pop(event.call_id))
        if event.call_type is LLMCallType.TOOL_CALL or not isinstance(event.response, str):
            return []
        text = _spoken(event.response)
        return events.text_message(self._message(), text) if text else []

    def _piece(self, call: str, text: str) -> list[events.Event]:
        """Return a piece of what a call streams, the first one with the message's beginning."""
        if call in self._streamed:
            return events.text_content(self._streamed[call], text)
        message = self._streamed[call] = self._message()
        return [*events.text_start(message), *events.text_content(message, text)]

    def _message(self) -> str:
        """Return the id of a new message; another attempt at the step has other ids."""
        return f"{self._work.step}.{self._work.attempt}.{next(self._numbers)}"


def _spoken(text: str) -> str:
    """Return what an answer in ReAct form says: its final answer, or the thought before an action.

    Any other text is said as it is.
    """
    try:
        step = parse(text)
    except OutputParserError:
        return text
    if isinstance(step, AgentFinish):
        return str(step.output)
    return step.thought.removeprefix("Thought:").strip()


def _model(source: Any, event: LLMCallCompletedEvent) -> str:
    """Return `provider/model`."""
    model, provider = event.model or "unknown", getattr(source, "provider", None)
    return model if not provider or model.startswith(f"{provider}/") else f"{provider}/{model}"


def _tool_called(event: ToolUsageStartedEvent) -> list[events.Event]:
    arguments = event.tool_args
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
    return events.tool_call(event.event_id, event.tool_name, text)


def _tool_answered(call: str, result: Any) -> list[events.Event]:
    text = str(result)
    cut = f"{text[:_RESULT_CHARACTERS]}…" if len(text) > _RESULT_CHARACTERS else text
    return events.tool_result(call, cut)


def _characters(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value, default=str))


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
