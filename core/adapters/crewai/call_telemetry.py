"""Tells an operator's telemetry of each model call, once it is over, from CrewAI's events."""

import sys
import time
from dataclasses import replace
from typing import Any

from crewai.events import LLMCallCompletedEvent, LLMCallFailedEvent, LLMCallStartedEvent

from core.adapters.crewai.usage_meter import model_of
from core.costs.provider_usage import read_usage
from core.crews.crew_runner import StepTask
from core.crews.telemetry import CallTelemetry, FinishedCall


class CallWatcher:
    """Watches the calls of one try at a step; a call that was refused its money never began."""

    def __init__(self, work: StepTask, telemetry: CallTelemetry) -> None:
        self._work, self._telemetry = work, telemetry
        self._open: dict[str, FinishedCall] = {}  # by CrewAI's call_id

    def sink(self, source: Any, event: Any) -> None:
        """Take one event of CrewAI."""
        match event:
            case LLMCallStartedEvent():
                self._open[event.call_id] = self._begun(source, event)
            case LLMCallCompletedEvent() if event.call_id in self._open:
                self._ended(event.call_id, **_answer(event))
            case LLMCallFailedEvent() if event.call_id in self._open:
                self._ended(event.call_id, error=_error_type(sys.exc_info()[1]))
            case _:
                pass

    def _begun(self, source: Any, event: LLMCallStartedEvent) -> FinishedCall:
        work, now = self._work, time.time_ns()
        return FinishedCall(
            tenant=work.tenant,
            flow=work.flow,
            crew=work.definition.name,
            task=work.prompt.task,
            step=work.prompt.step,
            agent=work.prompt.agent,
            model=model_of(source, event),
            began_ns=now,
            ended_ns=now,
            streams=bool(event.stream),
            max_tokens=event.max_tokens if isinstance(event.max_tokens, int) else None,
        )

    def _ended(self, call_id: str, **how: Any) -> None:
        call = self._open.pop(call_id)
        self._telemetry.record(replace(call, ended_ns=time.time_ns(), **how))


def _answer(event: LLMCallCompletedEvent) -> dict[str, Any]:
    reported = read_usage(event.usage)
    return {
        "tokens": reported.tokens if reported and reported.tokens.input else None,
        "finish_reason": event.finish_reason,
        "response_id": event.response_id,
    }


def _error_type(error: BaseException | None) -> str:
    """Return the status that a provider answered with, or the class of the error."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return str(status)
    return "_OTHER" if error is None else type(error).__qualname__
