"""Reporting: what CrewAI emits while a step runs, as AG-UI events and as money.

CrewAI calls a sink synchronously, in the order of emission, in whichever thread it happens. It
swallows some of what a sink raises, so what stops a step is kept in its StopSignal: once that is
set, every later event and the hook before the next model call raise.
"""

import contextlib
import itertools
import json
import threading
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

from core.adapters.crewai.answer_text import ThoughtFilter, spoken
from core.adapters.crewai.failures import Failure
from core.adapters.crewai.replay import current_tool_call
from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.usage_meter import UsageMeter
from core.costs.prompt_history import PromptHistory
from core.costs.tenant_prices import KnownPrices
from core.crews.crew_runner import Session, StepTask
from core.crews.ledger import ExpiredError, FencedError
from core.errors import NotFoundError
from core.flows import events

_RESULT_CHARACTERS = 2_000  # of a tool's result in its event; the agent gets all of it
_INSIGHT_CHARACTERS, _INSIGHTS = 2_000, 20  # of one, and in one try at a step
_REASON_CHARACTERS = 1_000


class EventReporter:
    """Writes what CrewAI emits in one try at a step to the session, each thing as it happens."""

    def __init__(
        self,
        work: StepTask,
        session: Session,
        prices: KnownPrices,
        stop_signal: StopSignal,
        history: PromptHistory,
    ) -> None:
        self._work = work
        self._session = session
        self._stop_signal = stop_signal
        self._meter = UsageMeter(work, session, prices, stop_signal, history)
        self._insights = itertools.count(1)
        self._native = set[str]()  # calls that were told tools as schemas
        self._streamed: dict[str, str] = {}  # message ids, by the id of the call that writes it
        self._thoughts: dict[str, ThoughtFilter] = {}  # of the calls that stream
        self._lock = threading.Lock()
        self._closed = False

    def sink(self, source: Any, event: Any) -> None:
        """Take one event of CrewAI. Raises what stopped the step."""
        self._meter_call(source, event, speaks=True)
        self._stop_signal.raise_if_stopped()
        if (call := current_tool_call()) is not None and call.is_replayed:
            return  # it was told when it happened
        with self._lock:
            if not self._closed and (told := self._translate(event)):
                self._post(told)

    def close(self) -> None:
        """End the message that was being streamed, if one was; of later events only money counts.

        For a try that is over, while its threads may still be at work.
        """
        with self._lock:
            self._closed = True
            told = [end for message in self._streamed.values() for end in events.text_end(message)]
            self._streamed.clear()
            if told:
                with contextlib.suppress(FencedError, ExpiredError, NotFoundError):
                    self._session.post(told)  # a lost step's message is ended by the ledger

    def silent_sink(self, source: Any, event: Any) -> None:
        """Take an event of a call whose answer is no message to anybody; it costs all the same."""
        self._meter_call(source, event, speaks=False)
        self._stop_signal.raise_if_stopped()

    def before_model_call(self, _context: Any) -> None:
        """Refuse the call if the step was stopped; CrewAI lets no other exception through here."""
        if self._stop_signal.stopped is not None:
            raise HookAborted("the step was stopped")

    def refused(self, reason: str) -> None:
        """Say that an answer was not taken, and why."""
        told = {"step": self._work.prompt.step, "reason": reason[:_REASON_CHARACTERS]}
        self._post(events.custom("answer_refused", told))

    def repeating(self, failure: Failure) -> None:
        """Say that a model call failed and is made again, and why."""
        told = {**self._work.who(), "reason": failure.reason}
        self._post(events.custom("model_call_repeated", told))

    def cut_short(self, call: str) -> Failure:
        """Return why an answer was cut off, by CrewAI's id of its call."""
        return self._meter.cut_short(call)

    def doubting(self, failure: Failure) -> None:
        """Say that an answer is taken although it may not be whole, and why."""
        told = {**self._work.who(), "reason": failure.reason}
        self._post(events.custom("answer_doubted", told))

    def insight(self, text: str) -> None:
        """Show the user what an agent found. Raises ValueError if that is too much in one step."""
        words = "".join(c for c in text if c.isprintable() or c == "\n").strip()
        if not words or len(words) > _INSIGHT_CHARACTERS:
            raise ValueError(f"an insight has 1 to {_INSIGHT_CHARACTERS} characters")
        if next(self._insights) > _INSIGHTS:
            raise ValueError(f"no more than {_INSIGHTS} insights in one step")
        self._post(events.custom("agent_insight", {**self._work.who(), "text": words}))

    def _post(self, told: list[events.Event]) -> None:
        with self._stop_signal.stop_on_error():
            self._session.post(told)

    def _meter_call(self, source: Any, event: Any, *, speaks: bool) -> None:
        match event:
            case LLMCallStartedEvent():
                self._stop_signal.raise_if_stopped()
                self._meter.reserve(source, event)
                if event.tools:
                    self._native.add(event.call_id)
            case LLMCallCompletedEvent():
                with self._lock:
                    said = self._answer_events(event) if speaks else []
                    self._meter.settle(event, said)
            case LLMCallFailedEvent():
                self._meter.failed(event)
            case _:
                pass

    def _translate(self, event: Any) -> list[events.Event]:
        """Return what an event says that costs nothing."""
        match event:
            case LLMStreamChunkEvent() if event.chunk and event.tool_call is None:
                thoughts = self._thoughts.setdefault(event.call_id, ThoughtFilter())
                return self._chunk_events(event.call_id, thoughts.feed(event.chunk))
            case LLMCallFailedEvent():
                return self._stream_end(event.call_id)
            case ToolUsageStartedEvent():
                return _tool_called(event)
            case ToolUsageFinishedEvent() if event.started_event_id:
                answered = _tool_answered(event.started_event_id, event.output)
                failed = event.failure and self._tool_failed(event, event.failure.message)
                return [*answered, *(failed or [])]
            case ToolUsageErrorEvent() if event.started_event_id:
                answered = _tool_answered(event.started_event_id, event.error)
                return [*answered, *self._tool_failed(event, str(event.error))]
            case _:
                return []

    def _tool_failed(
        self, event: ToolUsageFinishedEvent | ToolUsageErrorEvent, reason: str
    ) -> list[events.Event]:
        """Mark a tool call as failed; the agent was told, and may find another way."""
        told = {
            **self._work.who(),
            "tool": event.tool_name,
            "call": event.started_event_id,
            "reason": reason.removeprefix("Error: ")[:_REASON_CHARACTERS],
        }
        return events.custom("tool_failed", told)

    def _answer_events(self, event: LLMCallCompletedEvent) -> list[events.Event]:
        """Return the answer as a message, or the end of the one in which it was streamed.

        A call of a tool alone is none.
        """
        if self._closed:
            return []
        if event.call_id in self._thoughts:
            last = self._chunk_events(event.call_id, self._thoughts[event.call_id].end())
            return [*last, *self._stream_end(event.call_id)]
        answer = spoken(event.response)
        if event.call_type is LLMCallType.TOOL_CALL or not isinstance(answer, str):
            return []
        react = self._work.prompt.tools and event.call_id not in self._native
        text = _final_answer(answer) if react else answer
        return events.text_message(self._session.message_id(), text) if text else []

    def _chunk_events(self, call: str, text: str) -> list[events.Event]:
        """Return a piece of what a call streams, the first one with the message's beginning."""
        if not text:
            return []
        if call in self._streamed:
            return events.text_content(self._streamed[call], text)
        message = self._streamed[call] = self._session.message_id()
        return [*events.text_start(message), *events.text_content(message, text)]

    def _stream_end(self, call: str) -> list[events.Event]:
        """Return the end of the message that a call streamed, if it said anything."""
        self._thoughts.pop(call, None)
        message = self._streamed.pop(call, None)
        return [] if message is None else events.text_end(message)


def _final_answer(text: str) -> str:
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


def _tool_called(event: ToolUsageStartedEvent) -> list[events.Event]:
    arguments = event.tool_args
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
    return events.tool_call(event.event_id, event.tool_name, text)


def _tool_answered(call: str, result: Any) -> list[events.Event]:
    return events.tool_result(call, events.shortened(str(result), _RESULT_CHARACTERS))
