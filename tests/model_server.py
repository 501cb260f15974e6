"""OpenAI-compatible models on this machine: one answers as a function of the prompt, one by list."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str], str]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Yield the base URL of a server whose every completion is `answer(prompt)`."""

    class Completions(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = answer("\n".join(str(m["content"]) for m in body["messages"]))
            reply = json.dumps(_completion(body["model"], text)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the caller may have been killed
                self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


def _completion(model: str, text: str) -> dict:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


@dataclass
class Provider:
    """An OpenAI-compatible server. A reply is a message of the model, or (status, error body)."""

    url: str
    replies: deque[Any] = field(default_factory=deque[Any])
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[str | None] = field(default_factory=list[str | None])
    usage: dict[str, int] | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    )

    def answer(self, request: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        self.keys.append(key)
        reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, tuple):
            return reply
        finish = "tool_calls" if "tool_calls" in reply else "stop"
        message = {"role": "assistant", "content": None, **reply}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        body = {"id": "c1", "object": "chat.completion", "created": 0, "model": request["model"]}
        return 200, {**body, "choices": [choice], "usage": self.usage}


@contextmanager
def a_provider() -> Generator[Provider]:
    provider = Provider("")

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = provider.answer(request, self.headers["Authorization"])
            streams = request.get("stream") and status == 200
            data = _streamed(body) if streams else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def _streamed(body: dict[str, Any]) -> bytes:
    """The same answer in pieces of two characters, the usage in a piece of its own at the end."""
    message = body["choices"][0]["message"]
    text = message["content"] or ""
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"content": text[at : at + 2]} for at in range(0, len(text), 2)]
    for index, call in enumerate(message.get("tool_calls", ())):
        deltas.append({"tool_calls": [{**call, "index": index}]})
    finish = body["choices"][0]["finish_reason"]
    pieces = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    pieces.append({"index": 0, "delta": {}, "finish_reason": finish})
    whole = {**body, "object": "chat.completion.chunk", "usage": None}
    chunks = [{**whole, "choices": [piece]} for piece in pieces]
    chunks.append({**whole, "choices": [], "usage": body["usage"]})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
