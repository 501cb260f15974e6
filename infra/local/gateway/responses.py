"""The gateway's answers: replies as JSON, plain or in base64, and as server-sent events."""

import json
from binascii import b2a_base64
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import hiredis

from infra.local.gateway.resp import Reply

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Encode = Callable[[bytes], str]

SYNC_TOKEN = b"upstash-sync-token"
JSON = b"application/json"
RESP2 = b"application/octet-stream"

_SSE_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
_LOADING = "LOADING"  # the server runs, and still reads its data

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Response(NamedTuple):
    status: int
    body: bytes
    media_type: bytes = JSON
    sync_token: str = ""


def plain(value: bytes) -> str:
    """Bytes that are not UTF-8 become U+FFFD, as at Upstash."""
    return value.decode("utf-8", "replace")


def base64(value: bytes) -> str:
    """Everything but OK is encoded, as at Upstash."""
    return "OK" if value == b"OK" else b2a_base64(value, newline=False).decode()


def of_reply(reply: Reply, encode: Encode) -> Response:
    if isinstance(reply, hiredis.ReplyError):
        return failure(503 if str(reply).startswith(_LOADING) else 400, str(reply))
    return _json(200, _item(reply, encode))


def of_batch(replies: list[Reply], encode: Encode) -> Response:
    return _json(200, [_item(reply, encode) for reply in replies])


def failure(status: int, message: str) -> Response:
    return _json(status, {"error": message})


async def respond(send: Send, answer: Response) -> None:
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    if answer.sync_token:
        headers.append((SYNC_TOKEN, answer.sync_token.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def start_events(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _SSE_HEADERS})


async def send_event(send: Send, reply: Reply) -> None:
    await send({"type": "http.response.body", "body": event(reply), "more_body": True})


async def end_events(send: Send) -> None:
    await send({"type": "http.response.body", "body": b""})


def event(reply: Reply) -> bytes:
    """Write `data: message,channel,payload`; a payload of several lines takes several data lines."""
    lines = _event_text(reply).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join([*(f"data: {line}\n" for line in lines), "\n"]).encode()


def _event_text(reply: Reply) -> str:
    if isinstance(reply, list):
        return ",".join(plain(part) if isinstance(part, bytes) else str(part) for part in reply)
    return '"OK"' if reply == b"OK" else plain(reply)  # MONITOR acknowledges with a status


def _json(status: int, value: Any) -> Response:
    return Response(status, _dump(value).encode())


def _item(reply: Reply, encode: Encode) -> dict[str, Any]:
    if isinstance(reply, hiredis.ReplyError):
        return {"error": str(reply)}
    return {"result": _value(reply, encode)}


def _value(reply: Reply, encode: Encode) -> Any:
    if isinstance(reply, bytes):
        return encode(reply)
    if isinstance(reply, list):
        return [_value(part, encode) for part in reply]
    return str(reply) if isinstance(reply, hiredis.ReplyError) else reply
