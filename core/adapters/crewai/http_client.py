"""The HTTP client of a process for OpenAI-compatible providers.

CrewAI makes a client for every LLM, and there is an LLM for every step: each would open a connection
of its own and leave it to the garbage collector. One client keeps its connections for all steps.

Nothing bounds what a provider sends but this: the clients' time-outs count its silence alone, and the
process that would hold an endless answer is everybody's. Answers are asked for unpacked, since a few
bytes of gzip may be gigabytes; what is packed all the same is unpacked here, piece by piece.

It also counts what has come of an answer that nobody can read, which is paid for all the same, and
sees what CrewAI drops: that a model refused to answer, in a field beside the empty text; that an
answer broke off, by an error beside its half (OpenRouter's `choices[0].error`); and that a stream has come
to its end mark.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import cache
from http import HTTPStatus
from typing import cast

import httpx
from openai import DefaultHttpxClient

from core.adapters.crewai.failures import NOT_ITS_PROTOCOL, Failure, UnusableAnswerError
from core.adapters.crewai.stream_pieces import PieceSplitter

# Called with each sign that an answer holds, in the context of the call that gets it.
on_sign: ContextVar[Callable[["Sign"], None] | None] = ContextVar("on_sign", default=None)

# As bytes of JSON: in a text their quotes would be escaped. `null` is what stands there otherwise.
_SIGNS = re.compile(rb'"(refusal|error)"\s*:\s*(?:"[^"]|\{)')
_OVERLAP = 64  # bytes, so that one across two chunks is found
_PIECE_BYTES = 1 << 16  # of what is unpacked at once
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(slots=True)
class Received:
    """How many bytes of an answer have come, and whether they are all of it; never so of a stream.

    Only of an answer of status 200: what others cost, nobody knows by their length.
    """

    size: int = 0
    is_whole: bool = False


# What has come of the answer to the call that is under way in this context.
received: ContextVar[Received | None] = ContextVar("received", default=None)


class Sign(Enum):
    """What an answer says of itself beside its text."""

    REFUSAL = "refusal"
    ERROR = "error"
    END = "[DONE]"


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """What one answer may take: bytes of its body, unpacked, and seconds until its end.

    In a stream some 300 bytes stand around each token, of which models say 128,000 at most. A task
    has 15 minutes where its crew does not say otherwise.
    """

    whole_bytes: int = 16 << 20
    stream_bytes: int = 64 << 20
    seconds: float = 900.0

    def bytes_of(self, response: httpx.Response) -> int:
        """Return how many bytes this response may have."""
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        return self.stream_bytes if is_stream else self.whole_bytes


@cache
def shared() -> httpx.Client:
    """Return the client of this process. For use from any thread."""
    return client(AnswerLimits())


def client(limits: AnswerLimits) -> httpx.Client:
    """Return a client whose responses raise UnusableAnswerError beyond these limits."""

    def watch(response: httpx.Response) -> None:
        body = cast("httpx.SyncByteStream", response.stream)
        response.stream = _Watched(
            _unpacked(response, body),
            body.close,
            limits.bytes_of(response),
            limits.seconds,
            on_sign.get(),
            _counter(response),
        )

    headers = {"accept-encoding": "identity"}
    return DefaultHttpxClient(headers=headers, event_hooks={"response": [watch, _split]})


def _counter(response: httpx.Response) -> Received:
    """Return who counts a response's body: the call, if this is a whole answer to it."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    counts = response.status_code == HTTPStatus.OK and not is_stream
    return (received.get() if counts else None) or Received()


class _Split(httpx.SyncByteStream):
    """A stream of events that is handed on in the pieces that CrewAI reads."""

    def __init__(self, body: httpx.SyncByteStream) -> None:
        self._body, self._tell = body, on_sign.get()

    def __iter__(self) -> Iterator[bytes]:
        pieces = PieceSplitter(self._ended)
        yield from map(pieces.feed, self._body)
        yield pieces.end()

    def close(self) -> None:
        """Close the body."""
        self._body.close()

    def _ended(self) -> None:
        if self._tell is not None:
            self._tell(Sign.END)


class _Watched(httpx.SyncByteStream):
    """A body that is handed on as it comes, counted, and searched for signs."""

    def __init__(
        self,
        chunks: Iterator[bytes],
        close: Callable[[], None],
        most_bytes: int,
        seconds: float,
        tell: Callable[[Sign], None] | None,
        counted: Received,
    ) -> None:
        self._chunks, self._close, self._tell = chunks, close, tell
        self._bytes_left, self._ends = most_bytes, time.monotonic() + seconds
        self._seconds = seconds
        self._counted = counted
        self._too_much = Failure(
            f"the model's provider sent over {most_bytes / 1e6:.3g} MB in one answer"
        )

    def __iter__(self) -> Iterator[bytes]:
        tail = b""
        for chunk in self._chunks:
            self._count(chunk)
            self._counted.size += len(chunk)
            if self._tell is not None:
                tail += chunk
                for found in _SIGNS.findall(tail):
                    self._tell(Sign(found.decode()))
                tail = tail[-_OVERLAP:]
            yield chunk
        self._counted.is_whole = True

    def close(self) -> None:
        """Close the body."""
        self._close()

    def _count(self, chunk: bytes) -> None:
        self._bytes_left -= len(chunk)
        if self._bytes_left < 0:
            self._give_up(self._too_much)
        if time.monotonic() > self._ends:
            self._give_up(Failure(f"the model's answer took longer than {self._seconds:g} s"))

    def _give_up(self, failure: Failure) -> None:
        self.close()
        raise UnusableAnswerError(failure)


def _unpacked(response: httpx.Response, body: httpx.SyncByteStream) -> Iterator[bytes]:
    """Yield the body as it was before it was packed, in pieces; httpx is told that it was not."""
    packed = response.headers.pop("content-encoding", "identity").strip().lower()
    if packed in ("identity", ""):
        return iter(body)
    return _inflated(body, known=packed in ("gzip", "x-gzip", "deflate"))


def _inflated(body: httpx.SyncByteStream, *, known: bool) -> Iterator[bytes]:
    if not known:
        raise UnusableAnswerError(NOT_ITS_PROTOCOL)
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for chunk in body:
            rest = chunk
            while rest:
                yield unpack.decompress(rest, _PIECE_BYTES)
                rest = unpack.unconsumed_tail
    except zlib.error as error:
        raise UnusableAnswerError(NOT_ITS_PROTOCOL) from error


def _split(response: httpx.Response) -> None:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _Split(cast("httpx.SyncByteStream", response.stream))
