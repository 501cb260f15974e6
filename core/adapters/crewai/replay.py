"""Replay: an agent's loop hears again from its step's journal what it has heard before.

CrewAI asks its model and its tools the same, word for word, where these said the same before. So a call
is known by what it asks, and by how often that was asked in this try: with planning, or several tools
at once, the order may differ. What is answered from the journal emits no event, holds no money and
counts for no limit.
"""

import hashlib
import importlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from crewai import BaseLLM
from crewai.tools.tool_failure import ToolFailure, ToolFailureReason
from pydantic import BaseModel

from core.adapters.crewai.stop_signal import StopSignal
from core.crews.journal import ONCE, StepJournal

_CLIENTS = ("anthropic.", "google.genai.", "openai.")  # whose classes stand in lists of tool calls
_UNSAID = {"raw_tool_call_parts", "cache_breakpoint"}  # of messages: no model is told of these


class Replay:
    """One try at a step: what it asks, and what the journal knows of that. Thread-safe."""

    def __init__(self, journal: StepJournal, stop_signal: StopSignal) -> None:
        self.journal, self._stop_signal = journal, stop_signal
        self._lock, self._asked = threading.Lock(), Counter[str]()

    def key(self, kind: str, asked: Any) -> str:
        """Return the key of a call: the same when a later try has come as far as this one."""
        text = json.dumps(asked, default=str, ensure_ascii=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        with self._lock:
            self._asked[kind + digest] += 1
            return f"{kind}{digest}.{self._asked[kind + digest]}"

    def told_of(self, key: str) -> None:
        """Take it that a tool's call was told, also where no tool ran: CrewAI knows none of its name, say."""
        if self._stop_signal.stopped is None:
            self.journal.note_new(key, {"said": ""})

    def model(self, llm: BaseLLM) -> BaseLLM:
        """Have a model's calls answered from the journal as far as it goes, and kept there."""
        call: Callable[..., Any] = llm.call

        def answer(messages: Any, *rest: Any, **told: Any) -> Any:
            self._stop_signal.raise_if_stopped()
            key = self.key("model.", [llm.model, _said(messages), rest, told.get("tools")])
            known = self.journal.known(key)
            if known is not None and (heard := _decoded(known)) is not None:
                return heard
            self.journal.keep()
            said = call(messages, *rest, **told)
            if (entry := _encoded(said)) is not None:
                self.journal.note(key, entry)
            return said

        # An LLM is a pydantic model, which takes no attribute that is not a field of it.
        object.__setattr__(llm, "call", answer)
        return llm


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool, and what the journal knows of it."""

    key: str
    known: Mapping[str, str]
    journal: StepJournal

    @property
    def is_replayed(self) -> bool:
        """Whether its result is known: the tool does not run, and nobody is told of it once more."""
        return not self.known.keys().isdisjoint(("said", "failed"))

    @property
    def was_begun(self) -> bool:
        """Whether it was begun before, and nobody knows what came of it."""
        return "begun" in self.known

    def result(self) -> Any:
        """Return what the tool said, or a ToolFailure."""
        if (failed := self.known.get("failed")) is not None:
            return ToolFailure(message=failed, reason=ToolFailureReason.EXCEPTION)
        return self.known["said"]

    def begin(self) -> None:
        """Have what was heard until here kept, while the tool takes its time."""
        self.journal.keep_soon()

    def begin_once(self) -> None:
        """Keep that it was begun. Raises what the port does: it must not run then."""
        self.journal.note(self.key, {"begun": "once"})
        self.journal.keep_surely()

    def end(self, result: Any) -> None:
        """Keep what came of it. What is no text cannot be read again as it was: the tool runs again."""
        if isinstance(result, ToolFailure):
            entry = {"failed": result.message}
        elif isinstance(result, str) or self.key.startswith(ONCE):
            entry = {"said": str(result)}
        else:
            entry = {"ran": "says no text"}
        self.journal.note(self.key, entry)
        self.journal.keep_soon()


_replay: ContextVar[Replay | None] = ContextVar("replay", default=None)
_tool_call: ContextVar[ToolCall | None] = ContextVar("tool_call", default=None)


@contextmanager
def replaying(replay: Replay) -> Generator[None]:
    """Have the tools that are called within keep to the journal; also in threads started here."""
    token = _replay.set(replay)
    try:
        yield
    finally:
        _replay.reset(token)


@contextmanager
def tool_call(name: str, arguments: Any, *, once: bool = False) -> Generator[ToolCall | None]:
    """Yield the call of a tool that is under way here, which begins with this if none is.

    None where no journal is kept. `once`: the tool must not run twice.
    """
    replay, current = _replay.get(), _tool_call.get()
    if replay is None or current is not None:
        yield current
        return
    key = replay.key(f"{ONCE if once else ''}tool.", [name, arguments])
    token = _tool_call.set(ToolCall(key, replay.journal.known(key) or {}, replay.journal))
    try:
        yield _tool_call.get()
        replay.told_of(key)
    finally:
        _tool_call.reset(token)


def current_tool_call() -> ToolCall | None:
    """Return the call of a tool that is under way in this context."""
    return _tool_call.get()


def _said(messages: Any) -> Any:
    """Return what a model is told: without what no model sees, its calls numbered as they appear.

    The ids of calls are the provider's, and some make them anew each time.
    """
    if isinstance(messages, str):
        return messages
    numbers = dict[str, int]()

    def numbered(named: Any, name: str) -> Any:
        if not isinstance(named, dict) or name not in named:
            return cast("Any", named)
        call = cast("dict[str, Any]", named)
        return {**call, name: numbers.setdefault(str(call[name]), len(numbers))}

    told = list[Any]()
    for message in messages:
        each = {name: value for name, value in dict(message).items() if name not in _UNSAID}
        if calls := each.get("tool_calls"):
            each["tool_calls"] = [numbered(call, "id") for call in calls]
        told.append(numbered(each, "tool_call_id"))
    return told


def _encoded(answer: Any) -> Any | None:
    """Return an answer as JSON; None for what cannot be read again as it was."""
    if isinstance(answer, str):
        return {"text": answer}
    if not isinstance(answer, list):
        return None
    calls = [_encoded_call(call) for call in cast("list[Any]", answer)]
    return None if None in calls else {"calls": calls}


def _encoded_call(call: Any) -> Any | None:
    if isinstance(call, dict):
        return {"value": json.loads(json.dumps(call, default=str))}
    if isinstance(call, BaseModel) and (kind := type(call)).__module__.startswith(_CLIENTS):
        return {
            "class": [kind.__module__, kind.__qualname__],
            "value": call.model_dump(mode="json"),
        }
    return None


def _decoded(entry: Any) -> Any | None:
    """Return the answer of an entry; None for what another version of a client wrote."""
    if "text" in entry:
        return entry["text"]
    try:
        return [_decoded_call(call) for call in entry["calls"]]
    except (AttributeError, ImportError, KeyError, ValueError):
        return None


def _decoded_call(call: Any) -> Any:
    if "class" not in call:
        return call["value"]
    module, name = call["class"]
    if not module.startswith(_CLIENTS):
        raise ImportError(f"no client of a model has {module}")
    kind: Any = getattr(importlib.import_module(module), name)
    return kind.model_validate(call["value"])
