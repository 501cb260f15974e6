"""Usage meter: every model call of a step is reserved before it is made and settled once it is over.

Both hang on CrewAI's events of a call started, completed or failed: an LLM emits them once for each
call, repeated ones included, in the calling thread and before it sends anything, and they tell the
whole prompt with its tools. The hook before a model call knows neither tools nor repetitions.
"""

import json
import sys
from dataclasses import dataclass, replace
from typing import Any

from crewai.events import LLMCallCompletedEvent, LLMCallFailedEvent, LLMCallStartedEvent
from crewai.types.usage_metrics import UsageMetrics

from core.adapters.crewai.failures import not_billed
from core.adapters.crewai.limits import max_output_tokens
from core.adapters.crewai.stop_signal import StopSignal
from core.costs.prices import PriceBook, bound, priced
from core.costs.usage import Usage
from core.crews.crew_runner import Session, StepFailedError
from core.flows import events
from core.flows.events import Event

_CHARACTERS_PER_TOKEN = 4
_MOST_TOKENS = 10_000_000  # of one call; no model takes as many


@dataclass(frozen=True, slots=True)
class _Open:
    """A call that was reserved: its id in the session, and what was asked of whom."""

    id: str
    model: str
    prompt_characters: int


@dataclass(frozen=True, slots=True)
class _Tokens:
    """How many tokens one call consumed."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


class UsageMeter:
    """Reserves and settles the model calls of one attempt at a step."""

    def __init__(
        self, step: str, session: Session, prices: PriceBook, stop_signal: StopSignal
    ) -> None:
        self._step = step
        self._session = session
        self._prices = prices
        self._stop_signal = stop_signal
        self._open: dict[str, _Open] = {}  # by CrewAI's call_id
        self._settled = set[str]()

    def reserve(self, source: Any, event: LLMCallStartedEvent) -> None:
        """Hold what the call may cost at most. Raises what the session raises; that stops the step.

        A step that was stopped meanwhile makes no call, and gives the money back.
        """
        model = _model(source, event)
        text = _text([event.messages, event.tools])
        limit = max_output_tokens(model, event.max_tokens)
        most = bound(self._prices, model, len(text.encode("utf-8", "surrogatepass")), limit)
        with self._stop_signal.stop_on_error():
            call = self._session.reserve(model, most)
        self._open[event.call_id] = _Open(call, model, len(text))
        if self._stop_signal.stopped is not None:
            self._settle(event.call_id, Usage(), [])
            raise self._stop_signal.stopped

    def settle(self, event: LLMCallCompletedEvent, said: list[Event]) -> None:
        """Count what an answered call cost, once, with the events of its answer.

        Also in a step that was stopped, where the session still takes it.
        """
        if event.call_id in self._settled:
            return
        if event.call_id not in self._open:
            self._stop_signal.stop(StepFailedError("the model was called without being paid"))
            self._stop_signal.raise_if_stopped()
        call = self._open[event.call_id]
        usage = self._usage(call, event)
        told = events.model_call(self._step, call.model, usage)
        self._settle(event.call_id, usage, [*said, *told])

    def failed(self, event: LLMCallFailedEvent) -> None:
        """Give the money back where the provider surely did not work; else the bound stays lost.

        CrewAI tells of a failure while it is handled, and of its text only. The error itself is
        what Python handles right now.
        """
        if event.call_id in self._open and not_billed(sys.exc_info()[1]):
            self._settle(event.call_id, Usage(), [])

    def _settle(self, call_id: str, usage: Usage, told: list[Event]) -> None:
        call = self._open.pop(call_id)
        self._settled.add(call_id)
        with self._stop_signal.stop_on_error():
            self._session.settle(call.id, usage, told)

    def _usage(self, call: _Open, event: LLMCallCompletedEvent) -> Usage:
        """Return the call's usage: the provider's, or an estimate. Never costs the answer.

        Some providers tell none, such as OpenAI-compatible servers. A call is never free for
        that: four characters then count as a token, which is about right for English. Where they
        tell what cannot be, the nearest that can be counts, and the call is marked as unpriced.
        """
        told, sound = _sound(_told(event.usage))
        if told.input == 0:  # there is no call without a prompt
            said = told.output or _tokens(len(_text(event.response)))
            told = _Tokens(_tokens(call.prompt_characters), said)
        try:
            usage = priced(
                self._prices,
                call.model,
                told.input,
                told.output,
                cache_read_tokens=told.cache_read,
                cache_write_tokens=told.cache_write,
            )
        except (ArithmeticError, ValueError):  # the price list finds the figures contradictory
            return Usage(1, told.input, told.output, unpriced_calls=1)
        return usage if sound else replace(usage, unpriced_calls=1)


def _told(usage: dict[str, Any] | None) -> _Tokens:
    """Return what a provider told, which may be anything at all."""
    try:
        told = UsageMetrics.from_provider_dict(usage or {}) or UsageMetrics()
    except (ArithmeticError, TypeError, ValueError):  # pydantic's are ValueErrors
        return _Tokens(-1, -1)
    return _Tokens(
        told.prompt_tokens,
        told.completion_tokens,
        told.cached_prompt_tokens,
        told.cache_creation_tokens,
    )


def _sound(told: _Tokens) -> tuple[_Tokens, bool]:
    """Return the nearest counts that can be, and whether they are what was told.

    What was read from or written to a cache is part of the input.
    """
    sent, received = (min(max(0, n), _MOST_TOKENS) for n in (told.input, told.output))
    read = min(max(0, told.cache_read), sent)
    written = min(max(0, told.cache_write), sent - read)
    sound = _Tokens(sent, received, read, written)
    return sound, sound == told


def _model(source: Any, event: LLMCallStartedEvent) -> str:
    """Return `provider/model`."""
    model, provider = event.model or "unknown", getattr(source, "provider", None)
    return model if not provider or model.startswith(f"{provider}/") else f"{provider}/{model}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
