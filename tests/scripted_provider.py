"""An OpenAI-compatible server that plays a script: answers, errors, cuts and silence, as they come.

A `Turn` is what the server does with one request. The last turn is played for all that follow.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


@dataclass(frozen=True)
class Turn:
    """One answer. `cut_after`: the connection is reset after so many characters of the text.
    `parts`: the content as a list, in place of `text`. `usage_in`: the pieces of a stream that tell it.

    `error` is sent in place of an answer: with its `status`, or in the stream (`in_stream`).
    `choice_error` stands beside the text, as a gateway has it whose provider failed midway. `end_mark`:
    whether a stream ends with `[DONE]`; by default where it has said why the answer ended.
    """

    text: str | None = None
    parts: Any = None
    tools: Sequence[dict[str, Any]] = ()
    finish: str | None = "stop"
    usage: dict[str, Any] | None = field(default_factory=lambda: dict(USAGE))
    refusal: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    error: Any = None
    in_stream: bool = False
    cut_after: int | None = None
    silent_seconds: float = 0.0
    usage_in: str = "its own"  # or: the last, each
    choice_error: Any = None
    end_mark: bool | None = None
    raw: bytes | None = None  # the whole body


@dataclass
class ScriptedProvider:
    """A server that listens at `url`; `requests` are what it was asked."""

    url: str
    turns: list[Turn]
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: int = 0

    def next(self, request: dict[str, Any]) -> Turn:
        self.requests.append(request)
        return self.turns[min(len(self.requests), len(self.turns)) - 1]


@contextmanager
def playing(*turns: Turn) -> Generator[ScriptedProvider]:
    """Yield a server that plays these turns."""
    provider = ScriptedProvider("", list(turns))

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def setup(self) -> None:
            super().setup()
            provider.connections += 1

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with suppress(OSError):  # who asked may have gone
                _play(self, provider.next(request), streams=bool(request.get("stream")))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def _play(answer: BaseHTTPRequestHandler, turn: Turn, *, streams: bool) -> None:
    time.sleep(turn.silent_seconds)
    failed = turn.error is not None and not (turn.in_stream and streams)
    body = _error(turn) if failed else _streamed(turn) if streams else _whole(turn)
    body = body if turn.raw is None else turn.raw
    kind = "text/event-stream" if streams and not failed else "application/json"
    answer.send_response(turn.status)
    for name, value in {"Content-Type": kind, **turn.headers}.items():
        answer.send_header(name, value)
    answer.send_header("Content-Length", str(len(body)))
    answer.end_headers()
    if turn.cut_after is None:
        answer.wfile.write(body)
        return
    answer.wfile.write(body[: max(1, len(body) // 2)])
    answer.wfile.flush()
    time.sleep(0.05)  # what was sent is read before the reset is seen
    answer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer.connection.close()
    answer.close_connection = True


def _error(turn: Turn) -> bytes:
    if isinstance(turn.error, str):
        return turn.error.encode()
    return json.dumps({"error": turn.error}).encode()


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.parts or turn.text}
    message["refusal"] = turn.refusal
    return message | ({"tool_calls": list(turn.tools)} if turn.tools else {})


def _whole(turn: Turn) -> bytes:
    choice = {"index": 0, "message": _message(turn), "finish_reason": turn.finish}
    if turn.choice_error:
        choice["error"] = turn.choice_error
    body = {"id": "c1", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps({**body, "choices": [choice], "usage": turn.usage}).encode()


def _streamed(turn: Turn) -> bytes:
    text = turn.text or ""
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"content": text[at : at + 8]} for at in range(0, len(text), 8)]
    if turn.parts:
        deltas.append({"content": turn.parts})
    deltas += [{"tool_calls": [{**call, "index": at}]} for at, call in enumerate(turn.tools)]
    if turn.refusal:
        deltas.append({"refusal": turn.refusal})
    pieces = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if turn.finish:
        pieces.append({"index": 0, "delta": {}, "finish_reason": turn.finish})
    if turn.choice_error:
        pieces[-1]["error"] = turn.choice_error
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    chunks: list[dict[str, Any]] = [{**body, "choices": [piece]} for piece in pieces]
    if turn.in_stream:
        chunks.append({"error": turn.error})
    elif turn.usage_in != "its own":
        for chunk in chunks if turn.usage_in == "each" else chunks[-1:]:
            chunk["usage"] = turn.usage
    elif turn.usage is not None:
        chunks.append({**body, "choices": [], "usage": turn.usage})
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    marked = bool(turn.finish) if turn.end_mark is None else turn.end_mark
    return f"{lines}data: [DONE]\n\n".encode() if marked else lines.encode()
