"""Compression of JSON answers, for those who take it; what is sent in pieces, or large, goes as it is.

Starlette's own middleware would do but for three things: it takes `gzip;q=0` for a yes, keeps the
strong entity-tag on a coded body (RFC 9110, 8.8.3: other bytes, other tag), and lets a 304 go
without the Vary and the tag of the 200 it stands for. A tag is weak here whenever a coding is
agreed on, also where a body is too short to be worth it: a 304 knows nothing of the body.
"""

import importlib
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import cpu
from functions._http import accept, auth

NOT_MODIFIED = 304
WORTH_BYTES = 500
MOST_BYTES = 1024**2  # to code as much takes 40 ms, in which no other body is coded or read
GZIP_LEVEL, BROTLI_QUALITY = 6, 5  # of 2 kB: 660 bytes in 32 us, 602 in 38 us
CODED = 8  # bodies that were coded last, and are not coded again
REMEMBERED = 256  # fields; a browser sends the same one with every request
UNNAMED = 0.0005  # weighs less than all that a client can name (RFC 9110, 12.5.3)


class Coding(NamedTuple):
    """What is agreed on: a content-coding, None for no coding, and for which bodies."""

    name: str | None
    at_least_bytes: int = WORTH_BYTES

    def fits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a body with these headers is to be coded; one of unknown length is not."""
        length = headers.get(b"content-length")
        return bool(self.name and length and self.at_least_bytes <= int(length) <= MOST_BYTES)


@lru_cache(REMEMBERED)
def chosen(accept_encoding: str) -> Coding:
    """Return the coding that is liked best, of equals the shortest.

    Who takes no coding that we have gets none, even if it refuses that too: better than nothing.
    """
    weights = accept.weights(accept_encoding)
    others = weights.get("*", 0.0)
    best = max(CODERS, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    plain = weights.get("identity", weights.get("*", UNNAMED))
    if not weight or weight < plain:
        return Coding(None)
    return Coding(best, WORTH_BYTES if plain else 0)


def _gzip(body: bytes) -> bytes:
    coder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # 16: gzip's header
    return coder.compress(body) + coder.flush()


def _brotli(body: bytes) -> bytes:
    # By name: a function that only sends 304s need not load it, and it has no types.
    return importlib.import_module("brotli").compress(body, quality=BROTLI_QUALITY)


CODERS: dict[str, Callable[[bytes], bytes]] = {"br": _brotli, "gzip": _gzip}  # the shorter first


@lru_cache(CODED)
def _coded_once(coding: str, body: bytes) -> bytes:
    """Return a body coded; what many ask for in a row, such as the list of crews, is coded once."""
    return CODERS[coding](body)


class Compressed:
    """ASGI: codes JSON of a known length; says so in Vary and tag, on a 304 likewise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Sender(scope, send, chosen(_field(scope))))


def _field(scope: Scope) -> str:
    lines = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    field = b",".join(lines).decode("latin-1")
    return field if len(field) <= accept.FIELD_CHARACTERS else ""


class _Sender:
    """Sends one answer, coded if it is one that may be."""

    def __init__(self, scope: Scope, send: Send, coding: Coding) -> None:
        self._scope, self._send, self._coding = scope, send, coding
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start_response(message)
            return
        start, self._start = self._start, None
        if start is not None and not message.get("more_body", False):
            message = await self._coded(start, message.get("body", b""), self._coding.name)
        if start is not None:
            await self._send(start)
        await self._send(message)

    async def _start_response(self, message: Message) -> None:
        headers = dict[bytes, bytes](message["headers"])  # none of ours comes twice
        is_json = headers.get(b"content-type") == b"application/json"
        if is_json or message["status"] == NOT_MODIFIED:
            negotiated(headers, weak=self._coding.name is not None)
            message["headers"] = list(headers.items())
        if is_json and self._coding.fits(headers):
            self._start = message
        else:
            await self._send(message)

    async def _coded(self, start: Message, body: bytes, coding: str | None) -> Message:
        """Return the body coded, and say so in the headers that are yet to be sent."""
        assert coding is not None  # noqa: S101 -- or nothing was held back
        # Who asks is known by now, and was not when the request came by.
        tenant = auth.tenant(self._scope)
        coded = await cpu.run(tenant, partial(_coded_once, coding), body, len(body))
        kept = [line for line in start["headers"] if line[0] != b"content-length"]
        kept += [(b"content-encoding", coding.encode()), (b"content-length", b"%d" % len(coded))]
        start["headers"] = kept
        return {"type": "http.response.body", "body": coded}


def negotiated(headers: dict[bytes, bytes], *, weak: bool) -> None:
    """Say of an answer that it depends on Accept-Encoding."""
    vary = headers.get(b"vary")
    headers[b"vary"] = vary + b", Accept-Encoding" if vary else b"Accept-Encoding"
    etag = headers.get(b"etag")
    if weak and etag and not etag.startswith(b"W/"):
        headers[b"etag"] = b"W/" + etag
