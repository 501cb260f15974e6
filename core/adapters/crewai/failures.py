"""Failures: how a step stands, and what went wrong with it in words that may be shown."""

from collections.abc import Iterator
from dataclasses import dataclass

from crewai.utilities.exceptions.context_window_exceeding_exception import (
    LLMContextLengthExceededError,
)

from core.crews.run import StepFailedError

_UNREACHABLE = ("APIConnectionError", "APITimeoutError", "ConnectError", "TimeoutError")


@dataclass(slots=True)
class Standing:
    """What the parts that watch a running step share.

    CrewAI swallows some of what tools, hooks and sinks raise, so what must end the step is kept in
    `stopped`. `tool_failure` is the last word of a tool, if that was an error.
    """

    stopped: Exception | None = None
    tool_failure: str | None = None

    def raise_if_stopped(self) -> None:
        """Raise what must end the step."""
        if self.stopped is not None:
            raise self.stopped

    def raise_if_failed(self) -> None:
        """Raise what makes an answer worthless: a stop, or a tool that failed at the last."""
        self.raise_if_stopped()
        if self.tool_failure is not None:
            raise StepFailedError(self.tool_failure)


def explain(error: BaseException) -> str:
    """Say why CrewAI gave up. Its own texts are not repeated: they quote prompts and keys."""
    chain = list(_chain(error))
    if any(isinstance(cause, SystemExit | LLMContextLengthExceededError) for cause in chain):
        return "the prompt is longer than the model takes"
    for cause in chain:
        if isinstance(status := getattr(cause, "status_code", None), int):
            return f"the model's provider answered {status}"
        if type(cause).__name__ in _UNREACHABLE:  # each provider's client has its own class
            return "the model's provider could not be reached"
    return f"the agent stopped with {type(error).__name__}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once: re-raised errors can lead to themselves."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
