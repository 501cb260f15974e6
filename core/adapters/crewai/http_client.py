"""The HTTP client of a process for OpenAI-compatible providers.

CrewAI makes a client for every LLM, and there is an LLM for every step: each would open a connection
of its own and leave it to the garbage collector. One client keeps its connections for all steps.

It also sees what CrewAI drops: that a model refused to answer, in a field beside the empty text.
"""

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import cast

import httpx
from openai import DefaultHttpxClient

from core.adapters.crewai.stream_pieces import PieceSplitter

# Called when an answer holds a refusal, in the context of the call that gets it.
on_refusal: ContextVar[Callable[[], None] | None] = ContextVar("on_refusal", default=None)

# As bytes of JSON: in a text its quotes would be escaped. `null` is what stands there otherwise.
_REFUSAL = re.compile(rb'"refusal"\s*:\s*"[^"]')
_OVERLAP = 64  # bytes, so that one across two chunks is found


@cache
def shared() -> httpx.Client:
    """Return the client of this process. For use from any thread."""
    return DefaultHttpxClient(event_hooks={"response": [_split, _watch]})


class _Split(httpx.SyncByteStream):
    """A stream of events that is handed on in the pieces that CrewAI reads."""

    def __init__(self, body: httpx.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        pieces = PieceSplitter()
        yield from map(pieces.feed, self._body)
        yield pieces.end()

    def close(self) -> None:
        """Close the body."""
        self._body.close()


class _Watched(httpx.SyncByteStream):
    """A body that is handed on as it comes, and searched for a refusal."""

    def __init__(self, body: httpx.SyncByteStream, refused: Callable[[], None]) -> None:
        self._body, self._refused = body, refused

    def __iter__(self) -> Iterator[bytes]:
        tail = b""
        for chunk in self._body:
            tail += chunk
            if _REFUSAL.search(tail):
                self._refused()
            tail = tail[-_OVERLAP:]
            yield chunk

    def close(self) -> None:
        """Close the body."""
        self._body.close()


def _split(response: httpx.Response) -> None:
    plain = response.headers.get("content-encoding", "identity") == "identity"
    if plain and response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _Split(cast("httpx.SyncByteStream", response.stream))


def _watch(response: httpx.Response) -> None:
    if (refused := on_refusal.get()) is not None:
        response.stream = _Watched(cast("httpx.SyncByteStream", response.stream), refused)
