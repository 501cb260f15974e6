"""Telemetry: who is told of each model call that is over, for an operator's own tools."""

from dataclasses import dataclass
from typing import Protocol

from core.costs.token_counts import TokenCounts


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A model call that has ended. It holds no text of a prompt or an answer.

    Times are in nanoseconds since 1970. `tokens` are None where the provider reported none; `error` is
    what kind of error the call ended with, None for an answer.
    """

    tenant: str
    flow: str
    crew: str
    task: str
    step: str
    agent: str
    model: str  # provider/model
    began_ns: int
    ended_ns: int
    tokens: TokenCounts | None = None
    streams: bool = False
    max_tokens: int | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    error: str | None = None


class CallTelemetry(Protocol):
    """Port: takes calls, from any thread, and returns at once."""

    def record(self, call: FinishedCall) -> None:
        """Take a call. Never raises: what is lost here costs no answer."""
        ...
