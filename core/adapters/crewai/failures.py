"""Failures: why a model call failed, in words for the user, and what may be done about it.

All that is known of providers' errors stands in the tables here. A provider's own text is never
repeated: it may quote the prompt or a key. Of its error codes only plain words are, such as
`content_filter`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from crewai.utilities.exceptions.context_window_exceeding_exception import (
    LLMContextLengthExceededError,
)

from core.adapters.crewai.retry_after import response_metadata, retry_after_seconds


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a model call failed. `reason` is for the user.

    The same call may be made again `repeats` times. A `busy` provider is asked again later when
    these are used up; otherwise the step has failed then. `retry_after_seconds` is its own word.
    """

    reason: str
    repeats: int = 0
    busy: bool = False
    retry_after_seconds: float | None = None


class UnusableAnswerError(Exception):
    """The provider answered, but that is no answer to a step."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


_TRANSIENT = 4  # repeats of what mostly passes within seconds
_PROVIDER = "the model's provider"

EMPTY = Failure("the model gave an empty answer", repeats=2)
CUT_SHORT = Failure("the model's answer was cut off at its length limit", repeats=1)
BROKEN_OFF = Failure(f"{_PROVIDER} ended its answer before it was whole", repeats=_TRANSIENT)
FILTERED = Failure(f"the content filter of {_PROVIDER} stopped the answer", repeats=1)
REFUSED = Failure("the model refused to answer", repeats=1)
NOT_ITS_PROTOCOL = Failure(
    f"{_PROVIDER} did not answer as its protocol says; see CREWLINE_MODEL_BASE_URL", repeats=2
)
TOO_LONG = Failure("the prompt is longer than the model takes")
UNREACHABLE = Failure(f"{_PROVIDER} could not be reached", repeats=_TRANSIENT)
TIMED_OUT = Failure(f"{_PROVIDER} did not answer in time", repeats=1)  # each may take minutes
GOES_IN_CIRCLES = Failure("the agent made the same tool call again and again")

# Classes of errors by name: each provider's client has some of its own for these.
_BY_CLASS = {
    **dict.fromkeys(("APITimeoutError", "ReadTimeout", "ReadTimeoutError", "ConnectTimeout",
                     "ConnectTimeoutError", "WriteTimeout", "PoolTimeout", "TimeoutError"),
                    TIMED_OUT),
    **dict.fromkeys(("ConnectError", "EndpointConnectionError", "APIConnectionError"), UNREACHABLE),
    **dict.fromkeys(("ReadError", "WriteError", "RemoteProtocolError", "IncompleteRead",
                     "ChunkedEncodingError", "ConnectionClosedError", "ConnectionResetError"),
                    BROKEN_OFF),
    "JSONDecodeError": NOT_ITS_PROTOCOL,
    "ToolExecutionFailedError": GOES_IN_CIRCLES,
}  # fmt: skip
_NO_CREDIT = (
    "; its account has no credit left, or has reached its spending limit: "
    "add credit or raise the limit at the provider, then launch the flow again"
)
# What a provider's status says beyond its number: a hint for who runs this deployment.
_HINTS = {
    401: "; see CREWLINE_MODEL_API_KEY",
    402: _NO_CREDIT,
    403: "; its key may not use this model",
    404: "; see CREWLINE_MODEL",
    429: ": too many requests",
    503: ": it is overloaded",
    529: ": it is overloaded",
}
_BUSY = frozenset({429, 503, 529})
_CONFLICTS = frozenset({408, 409, 425})
_SERVER_ERRORS = 500
_ERRORS = range(400, 600)
# Of errors that come inside a stream, or with HTTP 200: a word in place of a status.
_STATUS_OF_CODE = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "server_error": 500,
}
# What does not pass until somebody pays, though OpenAI, Azure, Moonshot, Zhipu, xAI and gateways answer
# 429 and Anthropic 400. Codes as letters and digits alone: their spelling differs.
_CREDIT_CODES = frozenset(
    {"insufficientquota", "billinghardlimitreached", "billingnotactive", "billingerror",
     "exceededcurrentquotaerror", "insufficientbalance", "insufficientcredits",
     "insufficientuserquota", "arrearage", "1113"}
)  # fmt: skip
_CREDIT_WORDS = (
    re.compile(  # of messages: Anthropic's, DeepSeek's, Gemini's for no quota at all, xAI's
        r"credit balance is too low|insufficient balance|\blimit: 0\b|used all available credits",
        re.IGNORECASE,
    )
)
_OF_CREDIT = frozenset({400, 402, 403, 429})
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")  # a word of a protocol; no key looks like that
_CODE_CHARACTERS = 40

# For what it costs. A refusal says that the provider did not begin to work; 408, 409 and other
# server errors say nothing of that.
_NEVER_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "ConnectTimeoutError", "EndpointConnectionError",
     "HookAborted"}
)  # fmt: skip
_CUT_OFF = frozenset(
    {"ReadError", "ReadTimeout", "ReadTimeoutError", "RemoteProtocolError", "WriteError"}
)
_REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 415, 422, 429, 503, 529})


def classify(error: BaseException) -> Failure | None:
    """Return what a failure of a model's call is; None if it is none that is known here."""
    chain = list(_chain(error))
    if any(isinstance(cause, SystemExit | LLMContextLengthExceededError) for cause in chain):
        return TOO_LONG  # CrewAI exits when a prompt is too long
    for cause in chain:  # first of all: a client may wrap it in an error of its own
        if isinstance(cause, UnusableAnswerError):
            return cause.failure
    for cause in chain:
        if (failure := _of(cause)) is not None:
            return replace(failure, retry_after_seconds=retry_after_seconds(cause))
    return None


def explain(error: BaseException) -> str:
    """Say why CrewAI gave up, without its own texts: they quote prompts and keys."""
    failure = classify(error)
    return failure.reason if failure else f"the agent stopped with {type(error).__name__}"


def not_billed(error: BaseException | None) -> bool:
    """Tell whether the provider surely did not work for a call that failed like this."""
    for cause in _chain(error):  # an earlier request of the call may stand further down in it
        if type(cause).__name__ in _NEVER_SENT:
            return True
        if type(cause).__name__ in _CUT_OFF:
            return False
        if (status := _status(cause)) is not None:
            return status in _REFUSALS
    return False


def _of(error: BaseException) -> Failure | None:
    code = _code(error)
    if code == "context_length_exceeded":
        return TOO_LONG
    status = _status(error)
    if _lacks_credit(error, status):
        return Failure(f"{_answered(status or 402, code)}{_NO_CREDIT}")
    if status is not None:
        return _of_status(status, code)
    if failure := _BY_CLASS.get(type(error).__name__):
        return failure
    if type(error).__name__ == "APIError" or hasattr(error, "status_code"):  # in a stream, or a 200
        reason = f"{_PROVIDER} sent an error in place of an answer{f' ({code})' if code else ''}"
        return Failure(reason, repeats=_TRANSIENT)
    return None


def _of_status(status: int, code: str | None) -> Failure:
    reason = f"{_answered(status, code)}{_HINTS.get(status, '')}"
    if status in _BUSY:
        return Failure(reason, repeats=3, busy=True)
    if status in _CONFLICTS or status >= _SERVER_ERRORS:
        return Failure(reason, repeats=_TRANSIENT)
    if code == "content_filter":
        return replace(FILTERED, reason=reason)
    return Failure(reason)


def _answered(status: int, code: str | None) -> str:
    return f"{_PROVIDER} answered {status}{f' ({code})' if code else ''}"


def _lacks_credit(error: BaseException, status: int | None) -> bool:
    """Tell whether a provider wants to be paid first; its words are searched, not repeated."""
    told = _body(error)
    codes = (told.get("code"), told.get("type"), getattr(error, "code", None))
    if any(re.sub(r"[^a-z0-9]", "", str(code).lower()) in _CREDIT_CODES for code in codes):
        return status is None or status in _OF_CREDIT
    return status in _OF_CREDIT and bool(_CREDIT_WORDS.search(str(told.get("message") or error)))


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of a provider's error: the real one, where a gateway hides it.

    A gateway that has answered 200 already puts it into the body, as does a stream.
    """
    status: Any = getattr(error, "status_code", None)
    if status is None:
        status = response_metadata(error).get("HTTPStatusCode")
    if isinstance(status, int) and status in _ERRORS:
        return status
    told = _told_code(error)
    if told.isdecimal() and int(told) in _ERRORS:
        return int(told)
    return _STATUS_OF_CODE.get(told)


def _code(error: BaseException) -> str | None:
    code = _told_code(error)
    return code if _CODE.fullmatch(code) and len(code) <= _CODE_CHARACTERS else None


def _told_code(error: BaseException) -> str:
    """Return the error code that stands in a provider's answer, as text; empty if there is none."""
    if told := _body(error):
        return str(told.get("code") or told.get("type") or "")
    return str(getattr(error, "code", None) or "")


def _body(error: BaseException) -> dict[str, Any]:
    """Return the error object of a provider's answer; {} if there is none. Gemini's is in a list."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, list) and body:
        body = cast("list[Any]", body)[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):  # pyright: ignore[reportUnknownMemberType]
        body = cast("dict[str, Any]", body)["error"]
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once: re-raised errors can lead to themselves."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
