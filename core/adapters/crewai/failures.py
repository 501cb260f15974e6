"""Failures: what went wrong with a model call, in words that may be shown to the user."""

from collections.abc import Iterator

from crewai.utilities.exceptions.context_window_exceeding_exception import (
    LLMContextLengthExceededError,
)

# Each provider's client has classes of its own for these.
_UNCONNECTED = frozenset({"ConnectError", "ConnectTimeout", "EndpointConnectionError"})
_UNREACHABLE = _UNCONNECTED | {"APIConnectionError", "APITimeoutError", "TimeoutError"}
_NEVER_SENT = _UNCONNECTED | {"HookAborted"}
_CUT_OFF = frozenset(
    {"ReadError", "ReadTimeout", "ReadTimeoutError", "RemoteProtocolError", "WriteError"}
)
# Answers by which a provider says that it did not begin to work. 408 and 409 say nothing of that.
_REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 415, 422, 429})
_CONFLICTS = frozenset({408, 409})
_SERVER_ERRORS = 500


def explain(error: BaseException) -> str:
    """Say why CrewAI gave up. Its own texts are not repeated: they quote prompts and keys."""
    chain = list(_chain(error))
    if any(isinstance(cause, SystemExit | LLMContextLengthExceededError) for cause in chain):
        return "the prompt is longer than the model takes"
    for cause in chain:
        if isinstance(status := getattr(cause, "status_code", None), int):
            return f"the model's provider answered {status}"
        if type(cause).__name__ in _UNREACHABLE:
            return "the model's provider could not be reached"
    return f"the agent stopped with {type(error).__name__}"


def not_billed(error: BaseException | None) -> bool:
    """Tell whether the provider surely did not work for a call that failed like this."""
    for cause in _chain(error):  # an earlier request of the call may stand further down in it
        if type(cause).__name__ in _NEVER_SENT:
            return True
        if type(cause).__name__ in _CUT_OFF:
            return False
        if isinstance(status := getattr(cause, "status_code", None), int):
            return status in _REFUSALS
    return False


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may well succeed a moment later. CrewAI itself waits after 429."""
    for cause in _chain(error):
        if isinstance(status := getattr(cause, "status_code", None), int):
            return status >= _SERVER_ERRORS or status in _CONFLICTS
        if type(cause).__name__ in _UNREACHABLE:
            return True
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once: re-raised errors can lead to themselves."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
