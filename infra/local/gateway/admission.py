"""What is read from a request to the gateway before the server is asked: token, format, body, command."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from infra.local.gateway import commands
from infra.local.gateway.resp import Command

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

REQUEST_LIMIT_BYTES = 10 * 1024 * 1024
SYNC_TOKEN = b"upstash-sync-token"

_METHODS = frozenset({"HEAD", "GET", "POST", "PUT"})
_WITHOUT_BODY = frozenset({"HEAD", "GET"})
_STREAMS = frozenset({b"subscribe", b"psubscribe", b"monitor"})


class Refused(Exception):  # noqa: N818 -- says what happened
    """A request that is answered with `status` and `message` without asking the server."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Request(NamedTuple):
    """A request that may be served. `path` and `query` are still percent-encoded."""

    path: bytes
    query: bytes
    body: bytes
    in_base64: bool
    in_resp2: bool
    sync_token: str

    @property
    def is_stream(self) -> bool:
        return self.path[1:].partition(b"/")[0].lower() in _STREAMS

    def command(self) -> Command:
        """Read the command from the path, or from the body. Raises commands.Malformed."""
        if self.path == b"/":
            return commands.from_json(self.body)
        return commands.from_path(self.path, self.query, self.body)


async def admit(scope: Scope, receive: Receive, token: bytes, limit_bytes: int) -> Request:
    """Check method, token, format and size, and read the body. Raises Refused."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    query: bytes = scope["query_string"]
    if scope["method"] not in _METHODS:
        raise Refused(405, "ERR method not allowed: use HEAD, GET, POST or PUT")
    if not hmac.compare_digest(_token(headers, query), token):
        raise Refused(401, "WRONGPASS invalid or missing auth token")
    in_base64, in_resp2 = _format(headers)
    body = (
        b"" if scope["method"] in _WITHOUT_BODY else await _read_body(headers, receive, limit_bytes)
    )
    sync_token = headers.get(SYNC_TOKEN, b"").decode("latin-1")
    return Request(scope["raw_path"], query, body, in_base64, in_resp2, sync_token)


def _token(headers: dict[bytes, bytes], query: bytes) -> bytes:
    """Take the bearer token, or that of `?_token=` from clients that cannot set a header."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token
    return parse_qs(query).get(b"_token", [b""])[0] if b"_token=" in query else b""


def _format(headers: dict[bytes, bytes]) -> tuple[bool, bool]:
    """Whether strings are wanted in base64, and whether the whole answer is wanted in RESP2."""
    in_base64 = headers.get(b"upstash-encoding", b"").lower() == b"base64"
    wanted = headers.get(b"upstash-response-format", b"json").lower()
    if wanted not in {b"json", b"resp2"}:
        raise Refused(400, "ERR Upstash-Response-Format must be json or resp2")
    if in_base64 and wanted == b"resp2":
        raise Refused(400, "ERR Upstash-Encoding base64 does not go with resp2")
    return in_base64, wanted == b"resp2"


async def _read_body(headers: dict[bytes, bytes], receive: Receive, limit_bytes: int) -> bytes:
    """Stop reading at the limit; a length announced over it is refused unread."""
    _check_size(int(headers.get(b"content-length", b"0")), limit_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        _check_size(len(body), limit_bytes)
    return body


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise Refused(
            400,
            f"ERR max request size exceeded. Limit: {limit_bytes} bytes, Actual: {size} bytes",
        )
