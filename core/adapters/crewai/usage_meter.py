"""Usage meter: every model call of a step is reserved before it is made and settled once it is over.

Both hang on CrewAI's events of a call started, completed or failed: an LLM emits them once for each
call, repeated ones included, in the calling thread and before it sends anything, and they tell the
whole prompt with its tools. The hook before a model call knows neither tools nor repetitions.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from crewai.events import LLMCallCompletedEvent, LLMCallFailedEvent, LLMCallStartedEvent

from core import time_of_day
from core.adapters.crewai import endings
from core.adapters.crewai.failures import CUT_SHORT, Failure, not_billed
from core.adapters.crewai.http_client import received
from core.adapters.crewai.limits import max_output_tokens
from core.adapters.crewai.output_bound import OutputBound, OutputCap
from core.adapters.crewai.stop_signal import StopSignal
from core.costs.facts import NO_FACTS, Facts, added, of_effort, of_tokens
from core.costs.prices import priced, rates_of
from core.costs.prompt_history import Looked, Prompt, PromptHistory, pieces
from core.costs.provider_usage import ReportedUsage, read_usage
from core.costs.rates import Rates
from core.costs.tenant_prices import KnownPrices
from core.costs.token_counts import MOST_TOKENS, TokenCounts
from core.costs.usage import Usage
from core.crews.crew_runner import (
    PricesChangedError,
    Session,
    StepDeferredError,
    StepFailedError,
    StepTask,
)
from core.flows import events
from core.flows.events import Event

_REPRICINGS = 5  # of one call: more than anybody changes prices while one is reserved


@dataclass(frozen=True, slots=True)
class _Open:
    """A call that was reserved: its id in the session, what was asked of whom, and for how much.

    `held` is the most that it may consume.
    """

    id: str
    model: str
    held: Usage
    rates: Rates | None
    cap: OutputCap
    looked: Looked
    effort: str | None

    def by_length(self, answer_bytes: int) -> tuple[TokenCounts, Usage]:
        """Return what a call counts as that does not say what it consumed: the most that this may be.

        A token stands for one byte of the answer at least, and there are no more than it was asked for.
        """
        return self.at_most(min(answer_bytes, self.held.output_tokens))

    def at_most(self, output_tokens: int) -> tuple[TokenCounts, Usage]:
        """Return what it counts as with so long an answer and all of the input that was held."""
        tokens = TokenCounts(_at_most(self.held.input_tokens), output=_at_most(output_tokens))
        cost = self.rates and self.rates.bound_nanodollars(tokens.input, tokens.output)
        usage = replace(priced(self.rates, tokens), cost_nanodollars=cost or 0, estimated_calls=1)
        return tokens, replace(usage, lost_nanodollars=usage.cost_nanodollars)

    def as_reported(self, reported: ReportedUsage) -> Usage:
        """Return what a call counts as of which the provider reported all.

        What cannot be so is marked as unpriced. It costs no more than was held, nor does what nobody
        explained: that would be all that a budget has, for one wrong answer of a gateway.
        """
        usage = priced(self.rates, reported.tokens)
        if not reported.sound:
            usage = replace(usage, unpriced_calls=1)
        most = self.held.cost_nanodollars
        if usage.cost_nanodollars <= most or (reported.sound and not reported.unexplained):
            return usage
        return replace(usage, cost_nanodollars=most, lost_nanodollars=most)


class UsageMeter:
    """Reserves and settles the model calls of one try at a step."""

    def __init__(
        self,
        work: StepTask,
        session: Session,
        prices: KnownPrices,
        stop_signal: StopSignal,
        history: PromptHistory,
        now_ms: Callable[[], int] = time_of_day.now_ms,
    ) -> None:
        self._tenant, self._step = work.tenant, work.prompt.step
        self._whose = work.tenant, *work.names
        self._history = history
        self._now_ms = now_ms
        self._session = session
        self._prices = prices
        self._stop_signal = stop_signal
        self._open: dict[str, _Open] = {}  # by CrewAI's call_id
        self._settled = set[str]()
        self._lowered: dict[str, tuple[int, str]] = {}  # by CrewAI's call_id; see OutputCap

    def reserve(self, source: Any, event: LLMCallStartedEvent) -> None:
        """Hold what the call may cost at most. Raises what the session raises; that stops the step.

        A step that was stopped meanwhile makes no call, and gives the money back.
        """
        model = model_of(source, event)
        text = _text([event.messages, event.tools])
        limit = max_output_tokens(model, event.max_tokens)
        size, cap = len(text.encode("utf-8", "surrogatepass")), OutputCap(source)
        bound = partial(
            OutputBound, prompt_bytes=size, limit=limit, cap=cap, has_tools=bool(event.tools)
        )
        with self._stop_signal.stop_on_error():
            call, held, rates = self._reserved(model, bound)
        looked = self._history.look((*self._whose, model), _prompt(event), self._now_ms())
        effort = getattr(source, "reasoning_effort", None)
        self._open[event.call_id] = _Open(call, model, held, rates, cap, looked, effort)
        if self._stop_signal.stopped is not None:
            self._settle(event.call_id, Usage(), [])
            raise self._stop_signal.stopped

    def _reserved(
        self, model: str, bound: Callable[..., OutputBound]
    ) -> tuple[str, Usage, Rates | None]:
        """Return the id of a reserved call, what is held, and its rates: the tenant's present ones."""
        for _ in range(_REPRICINGS):
            known = self._prices.of(self._tenant)
            rates = rates_of(known.book, model, self._now_ms())
            priced_by = {"rates": rates, "prices_version": known.version}
            try:
                return *bound(**priced_by).reserve(self._session, model), rates
            except PricesChangedError as changed:
                self._prices.learn(self._tenant, changed.prices)
        raise StepDeferredError("the tenant's prices keep changing", 1.0, passes=True)

    def settle(self, event: LLMCallCompletedEvent, said: list[Event]) -> None:
        """Count what an answered call cost, once, with the events of its answer.

        At the rates that it was reserved with, which its event keeps. Never costs the answer: where
        the provider reports what cannot be, the nearest that can be counts. Also in a step that was
        stopped, where the session still takes it.
        """
        if event.call_id in self._settled:
            return
        if event.call_id not in self._open:
            self._stop_signal.stop(StepFailedError("the model was called without being paid"))
            self._stop_signal.raise_if_stopped()
        call = self._open[event.call_id]
        reported = read_usage(event.usage)
        tokens, usage = _consumed(call, reported, _text(event.response))
        told = events.model_call(self._step, call.model, usage, tokens, call.rates)
        facts = self._facts(call, tokens, usage, event.finish_reason)
        self._settle(event.call_id, usage, [*said, *told], facts)

    def cut_short(self, call_id: str) -> Failure:
        """Return why a settled call's answer was cut off: at its model's limit, or at a budget's."""
        if (lowered := self._lowered.get(call_id)) is None:
            return CUT_SHORT
        tokens, budget = lowered
        room = f"the budget {budget} had room for no more"
        reason = f"the model's answer was cut off at {tokens:,} tokens: {room}"
        return Failure(reason)  # it is not made again: there is less money now

    def failed(self, event: LLMCallFailedEvent) -> None:
        """Give the money back where the provider surely did not work.

        An answer that came whole and that nobody can read is counted by its length. Of any other
        the bound stays lost.

        CrewAI tells of a failure while it is handled, and of its text only. The error itself is
        what Python handles right now.
        """
        if event.call_id not in self._open:
            return
        self._open[event.call_id].cap.restore()
        if not_billed(sys.exc_info()[1]):
            self._settle(event.call_id, Usage(), [])
        elif (answer := received.get()) is not None and answer.is_whole:
            self._settle_by_length(event.call_id, answer.size)

    def _settle_by_length(self, call_id: str, size: int) -> None:
        call = self._open[call_id]
        tokens, usage = call.by_length(size)
        told = events.model_call(self._step, call.model, usage, tokens, call.rates)
        self._settle(call_id, usage, [*told])

    def _facts(
        self, call: _Open, tokens: TokenCounts, usage: Usage, finish_reason: str | None
    ) -> Facts:
        """Return what could be saved on a call, and note what it sent; nothing of one counted by its length."""
        is_cut = endings.failure_of(endings.word_of(finish_reason)) is CUT_SHORT
        now_ms, where = self._now_ms(), (*self._whose, call.model)
        self._history.keep(call.looked.sent, now_ms, answered=not is_cut)
        if usage.estimated_calls:
            return NO_FACTS
        return added(
            of_tokens(tokens, call.rates, cut=is_cut),
            of_effort(call.effort, tokens),
            call.looked.facts(call.model, tokens, usage.cost_nanodollars),
            self._history.unread(where, tokens, now_ms),
        )

    def _settle(
        self, call_id: str, usage: Usage, told: list[Event], facts: Facts = NO_FACTS
    ) -> None:
        call = self._open.pop(call_id)
        call.cap.restore()
        self._settled.add(call_id)
        if call.cap.lowered is not None:
            self._lowered[call_id] = call.cap.lowered
        with self._stop_signal.stop_on_error():
            self._session.settle(call.id, usage, told, facts)


def _consumed(
    call: _Open, reported: ReportedUsage | None, answer: str
) -> tuple[TokenCounts, Usage]:
    """Return what a call consumed: as the provider reported it, or at most, by the length of its text.

    Some report nothing, such as OpenAI-compatible servers, or a part of it; there is no call without a
    prompt, and no text without tokens.
    """
    tokens = reported.tokens if reported else TokenCounts()
    if reported and tokens.input and (tokens.output or not answer):
        return tokens, call.as_reported(reported)
    if reported and tokens.output and reported.sound and not reported.unexplained:
        return call.at_most(tokens.output)
    return call.by_length(len(answer.encode("utf-8", "surrogatepass")))


def _prompt(event: LLMCallStartedEvent) -> Prompt:
    """Return what a call sends, in pieces; a setting that changes the answer counts as one."""
    settings = [event.temperature, event.top_p, event.seed, event.max_tokens, event.tools]
    told = event.messages
    if isinstance(told, str):
        return pieces(_text(settings), [("user", told)])
    return pieces(_text(settings), [(str(each.get("role")), _text(each)) for each in told or []])


def model_of(source: Any, event: LLMCallStartedEvent) -> str:
    """Return `provider/model`."""
    model, provider = event.model or "unknown", getattr(source, "provider", None)
    return model if not provider or model.startswith(f"{provider}/") else f"{provider}/{model}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _at_most(tokens: int) -> int:
    return min(MOST_TOKENS, tokens)
