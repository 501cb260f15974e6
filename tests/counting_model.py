"""An OpenAI-compatible model server that counts what it is asked, and can keep a caller waiting."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests import fault_crews

HELD_SECONDS = 60.0  # the most that a call is held: no test waits for ever


@dataclass(frozen=True)
class Asked:
    """One call as it reached the model: it costs money from here on, whoever dies."""

    tenant: str
    flow: str
    step: str
    attempt: int
    deferrals: int
    number: int
    at: float


@dataclass
class CountingModel:
    """What was asked, in order. Calls for which `holds` is true wait for `released`."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    holds: Callable[[Asked], bool] = lambda _: False
    released: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0  # that every answer takes

    def begin_anew(self) -> None:
        """Forget everything; let go whoever is still held."""
        self.released.set()
        self.released, self.held = threading.Event(), threading.Event()
        self.asked, self.holds, self.seconds = [], lambda _: False, 0.0

    def hold(self, step: str, attempt: int = 1) -> None:
        """Keep the first call of this attempt at this step waiting until `released` is set."""
        self.holds = lambda call: (call.step, call.attempt, call.number) == (step, attempt, 1)

    def of(self, flow: str) -> list[Asked]:
        """Return the calls of a flow."""
        return [call for call in self.asked if call.flow == flow]

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        call = Asked(**request["metadata"], at=time.monotonic())
        released, held = self.released, self.held
        self.asked.append(call)
        if self.holds(call):
            held.set()
            released.wait(HELD_SECONDS)
        time.sleep(self.seconds)
        message = {"role": "assistant", "content": fault_crews.answer(call.step)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return {"id": "c1", "object": "chat.completion", "created": 1, "model": request["model"],
                "choices": [choice], "usage": usage}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def counting_model() -> Iterator[CountingModel]:
    """Yield a model that listens."""
    model = CountingModel()

    class Completions(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = json.dumps(model.answer(body)).encode()
            with contextlib.suppress(ConnectionError):  # the caller may have been killed
                self.send_response(200)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

        def log_message(self, *_: object, **__: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Completions)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        model.begin_anew()
        server.shutdown()
        server.server_close()
