"""Model calls: made again where that may help, put off where it would hold a worker.

Providers' clients and CrewAI repeat requests of their own accord, inside of what is one call to the
event log and to the bill. They are told not to; here, each repetition is a call of its own with
money of its own. A provider that says when to come back (Retry-After) is believed: a short delay is
waited for, a longer one puts the step off. All waiting ends at once when the step is stopped.
"""

import logging
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from crewai import BaseLLM
from crewai.events import LLMCallCompletedEvent
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.llms.base_llm import call_stop_override
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.llms.retry import (
    _active_llm_rate_limit_retry as crewai_repeats_already,  # pyright: ignore[reportPrivateUsage] -- nothing public turns CrewAI's own loop off, which sleeps through a stop
)
from crewai.utilities.agent_utils import is_tool_call_list

from core.adapters.crewai import endings, failures
from core.adapters.crewai.answer_text import spoken
from core.adapters.crewai.failures import Failure, UnusableAnswerError, classify
from core.adapters.crewai.http_client import Received, Sign, on_sign, received
from core.adapters.crewai.stop_signal import StopSignal
from core.crews.crew_runner import StepDeferredError
from core.json_text import encodable

log = logging.getLogger(__name__)

# What Python raises where an answer is not built as a client expects it.
_MISREAD = (AttributeError, IndexError, KeyError, TypeError, UnicodeError)


@dataclass(frozen=True, slots=True)
class ModelRetryPolicy:
    """How long to wait before a call is made again, in seconds.

    Full jitter: anything up to `base` doubled with each repeat, at most `cap`. What would take
    longer than `in_place` puts the step off; a busy provider that does not say until when, by `busy`.
    """

    base: float = 0.5
    cap: float = 8.0
    in_place: float = 2.0
    busy: float = 30.0

    def back_off(self, repeated: int) -> float:
        """Return the pause before another call, after so many repeated ones."""
        return random.uniform(0, min(self.cap, self.base * 2**repeated))  # noqa: S311 -- no secret


@dataclass(slots=True)
class _Observed:
    """What CrewAI's event of a completed call says of it, beyond what the call returns."""

    completed: bool = False
    call_id: str = ""
    response: Any = None
    finish_reason: str | None = None
    has_usage: bool = False
    signs: set[Sign] = field(default_factory=set[Sign])

    def sink(self, _source: object, event: object) -> None:
        """Take an event of CrewAI."""
        if isinstance(event, LLMCallCompletedEvent):
            self.completed, self.response = True, event.response
            self.call_id = event.call_id
            self.finish_reason, self.has_usage = event.finish_reason, bool(event.usage)


class _DoubtedAnswerError(Exception):
    """The provider ended its answer for a reason that nobody has listed."""

    def __init__(self, answer: Any, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.answer, self.failure = answer, failure


class Listener(Protocol):
    """Who is told what came of a call beyond its answer."""

    def repeating(self, failure: Failure) -> None:
        """Hear that a call failed and is made again."""
        ...

    def cut_short(self, call: str) -> Failure:
        """Say why the answer to a call was cut off, which CrewAI names so."""
        ...

    def doubting(self, failure: Failure) -> None:
        """Hear that an answer is taken although it may not be whole."""
        ...


@dataclass(slots=True)
class ModelCaller:
    """Makes the calls of one LLM."""

    llm: BaseLLM
    stop_signal: StopSignal
    policy: ModelRetryPolicy
    listener: Listener
    has_tools: bool
    _call: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        self._call = self.llm.call

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Return a whole answer. Raises what stopped the step, StepDeferredError, or a failure."""
        repeated, doubted = 0, False
        while True:
            try:
                return self._once(*args, **kwargs)
            except _DoubtedAnswerError as error:
                failure, seconds = error.failure, self.policy.back_off(repeated)
                log.warning("%s", failure.reason)
                if doubted:  # the provider ends its answers so
                    self.listener.doubting(failure)
                    return error.answer
                doubted = True
            except Exception as error:
                self.stop_signal.raise_if_stopped()
                failure = classify(error)
                if failure is None:
                    raise
                log.warning("%s", failure.reason, extra={"error": type(error).__name__})
                seconds = self._pause_seconds(failure, repeated)
                if seconds is None:
                    raise
            repeated += 1
            self.listener.repeating(failure)
            self.stop_signal.pause(seconds)

    def _pause_seconds(self, failure: Failure, repeated: int) -> float | None:
        """Return how long to wait before the next try; None for no other. Raises StepDeferredError."""
        told, left = failure.retry_after_seconds, repeated < failure.repeats
        if failure.repeats and told is not None and (told > self.policy.in_place or not left):
            self._defer(failure, max(told, self.policy.in_place))
        if left:
            return max(told or 0.0, self.policy.back_off(repeated))
        if failure.busy:
            self._defer(failure, self.policy.busy)
        return None

    def _defer(self, failure: Failure, seconds: float) -> None:
        error = StepDeferredError(failure.reason, seconds)
        self.stop_signal.stop(error)  # CrewAI wraps and swallows errors; this one must arrive
        raise error

    def _once(self, *args: Any, **kwargs: Any) -> Any:
        """Make one call; return its answer if it is whole.

        Raises UnusableAnswerError, _DoubtedAnswerError, or any.
        """
        observed = _Observed()
        react = self.has_tools and not kwargs.get("tools")  # in the prompt, as text
        with _observing(observed), nullcontext() if react else call_stop_override(self.llm, None):
            try:
                answer = self._call(*args, **kwargs)
            except _MISREAD as error:
                self.stop_signal.raise_if_stopped()
                if not observed.completed:
                    raise UnusableAnswerError(failures.NOT_ITS_PROTOCOL) from error
                answer = observed.response  # CrewAI fell over the usage, say: the answer is there
        answer = spoken(answer)
        if failure := self._failure_of(answer, observed):
            raise UnusableAnswerError(failure)
        answer = encodable(answer) if isinstance(answer, str) else answer
        if failure := endings.doubt(endings.word_of(observed.finish_reason)):
            raise _DoubtedAnswerError(answer, failure)
        return answer

    def _failure_of(self, answer: Any, observed: _Observed) -> Failure | None:
        """Return why an answer is none: cut off, filtered, empty, no text."""
        ending = endings.word_of(observed.finish_reason)
        if failure := endings.failure_of(ending):
            is_cut = failure is failures.CUT_SHORT and observed.call_id
            return self.listener.cut_short(observed.call_id) if is_cut else failure
        if Sign.ERROR in observed.signs:
            return failures.BROKEN_OFF
        if not answer and Sign.REFUSAL in observed.signs:
            return failures.REFUSED
        if not answer or (isinstance(answer, str) and not answer.strip()):
            return failures.EMPTY
        if not isinstance(answer, str) and not _are_calls(answer):
            return failures.NOT_ITS_PROTOCOL
        # A stream that simply ends: its last piece but one tells the reason, its last the usage.
        marked = observed.has_usage or Sign.END in observed.signs
        ends = ending or marked or not self.llm.stream
        return None if ends or not isinstance(self.llm, OpenAICompletion) else failures.BROKEN_OFF


def with_retries(
    llm: BaseLLM,
    stop_signal: StopSignal,
    policy: ModelRetryPolicy,
    listener: Listener,
    *,
    has_tools: bool,
) -> BaseLLM:
    """Have the LLM make its calls by a ModelCaller.

    With `has_tools`, a call that is given none describes them in its prompt, in ReAct form. Only
    there do CrewAI's stop words apply; in any other answer they are words of the text.
    """
    caller = ModelCaller(llm, stop_signal, policy, listener, has_tools)
    # An LLM is a pydantic model, which takes no attribute that is not a field of it.
    object.__setattr__(llm, "call", caller.call)
    # CrewAI's own sums are not used, and fail on usage that is no number.
    object.__setattr__(llm, "_track_token_usage_internal", _nothing)
    return llm


def _are_calls(answer: object) -> bool:
    """Tell whether an answer is calls of tools; CrewAI would take anything else for a text."""
    return isinstance(answer, list) and is_tool_call_list(cast("list[Any]", answer))


def _nothing(_usage: object) -> None:
    pass


@contextmanager
def _observing(observed: _Observed) -> Generator[None]:
    """Have `observed` see the events of a call, which CrewAI's own loop does not repeat."""
    sink, repeats = add_stream_sink(observed.sink), crewai_repeats_already.set(True)
    signs, counted = on_sign.set(observed.signs.add), received.set(Received())
    try:
        yield
    finally:
        received.reset(counted)
        on_sign.reset(signs)
        crewai_repeats_already.reset(repeats)
        reset_stream_sinks(sink)
