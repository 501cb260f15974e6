"""AWS Lambda's Runtime API for tests: a real HTTP server, from which a runtime takes invocations.

Any runtime works with it: ours (`STREAMING`), or awslambdaric (`BUFFERING`), Lambda's own for Python.

    with RuntimeApi() as api, running([*BUFFERING, "functions.flow_status.handler"], api, environ):
        answer = api.invoke(rest_event("GET", "/v1/flows", headers)).answer()

What it was answered is read as API Gateway reads it: `answer()` waits for the end, `pieces()` yields the
body while it comes. One runtime at a time; its successor gets what it has not taken.
"""

import base64
import json
import queue
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[2]
STREAMING = [str(ROOT / "infra/aws/streaming/start"), sys.executable, "/nowhere/bootstrap.py"]
BUFFERING = [sys.executable, "-m", "awslambdaric"]
PATH = "/2018-06-01/runtime/"
DELIMITER = bytes(8)
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """An answer as a client of API Gateway gets it."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass
class Invoked:
    """An invocation, and what was answered so far.

    A test may let Lambda stop reading (`reading.clear()`), hang up, or refuse the answer (`refused`, a status).
    """

    event: Any
    deadline_ms: int
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    invocation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    refused: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])  # of the answer's request
    trailers: dict[str, str] = field(default_factory=dict[str, str])
    error: dict[str, Any] | None = None  # posted in place of an answer
    broken: bool = False  # the runtime did not send its answer to the end
    reading: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    connection: socket.socket | None = None
    _pieces: "queue.Queue[bytes | None]" = field(default_factory=queue.Queue)
    body: bytes = b""  # what has come; a streamed one has status and headers in front

    def __post_init__(self) -> None:
        self.reading.set()

    @property
    def streamed(self) -> bool:
        return self.headers.get("lambda-runtime-function-response-mode") == "streaming"

    @property
    def failure(self) -> dict[str, Any] | None:
        """What the trailers tell of an answer that broke off."""
        body = self.trailers.get("lambda-runtime-function-error-body")
        return json.loads(base64.b64decode(body)) if body else None

    def hang_up(self) -> None:
        """Close the connection over which the answer comes."""
        assert self.connection is not None
        self.connection.shutdown(socket.SHUT_RDWR)

    def take(self, piece: bytes | None) -> None:
        """Keep what has come of the body; None is its end."""
        self.body += piece or b""
        self._pieces.put(piece)
        if piece is None:
            self.done.set()

    def pieces(self, seconds: float = WAIT_SECONDS) -> Iterator[bytes]:
        """Yield the body of a streamed answer while it comes. Raises queue.Empty in a long silence."""
        prelude = b""
        while DELIMITER not in prelude:
            piece = self._pieces.get(timeout=seconds)
            assert piece is not None, "an answer without status and headers"
            prelude += piece
        piece = prelude.partition(DELIMITER)[2]
        while piece is not None:
            if piece:
                yield piece
            piece = self._pieces.get(timeout=seconds)

    def answer(self, seconds: float = WAIT_SECONDS) -> Answer:
        """Wait for the end, and return the answer; of a failed invocation the 502 of API Gateway."""
        assert self.done.wait(seconds), "there is no answer"
        if self.error is not None:
            return Answer(502, httpx.Headers(), b'{"message": "Internal server error"}')
        if self.streamed:
            prelude, delimiter, body = self.body.partition(DELIMITER)
            assert delimiter, self.body
            return Answer(*_status_and_headers(json.loads(prelude)), body)
        told = json.loads(self.body)
        body = told.get("body") or ""
        whole = base64.b64decode(body) if told.get("isBase64Encoded") else body.encode()
        return Answer(*_status_and_headers(told), whole)


def _status_and_headers(told: Mapping[str, Any]) -> tuple[int, httpx.Headers]:
    repeated = told.get("multiValueHeaders") or {}
    pairs = [*(told.get("headers") or {}).items()]
    pairs += [(name, value) for name, values in repeated.items() for value in values]
    pairs += [("set-cookie", value) for value in told.get("cookies") or []]
    return told["statusCode"], httpx.Headers(pairs)


class RuntimeApi:
    """Use as a context manager. `address` is what a runtime is given as AWS_LAMBDA_RUNTIME_API."""

    def __init__(self) -> None:
        self._coming = queue.Queue[Invoked]()
        self.invoked = dict[str, Invoked]()
        self.init_errors = queue.Queue[dict[str, Any]]()
        self.closing = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self  # pyright: ignore[reportAttributeAccessIssue] -- for the handler
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        self._server.shutdown()
        self._server.socket.close()

    def invoke(self, event: Any, seconds: float = 300.0, refused: int = 0) -> Invoked:
        """Have the runtime answer an event, for which it has so many seconds."""
        invoked = Invoked(event, int((time.time() + seconds) * 1000), refused=refused)
        self.invoked[invoked.request_id] = invoked
        self._coming.put(invoked)
        return invoked

    def next(self, given_up: Callable[[], bool]) -> Invoked | None:
        """Wait for an invocation; None when the API closes, or nobody waits any more."""
        while not self.closing and not given_up():
            try:
                return self._coming.get(timeout=0.05)
            except queue.Empty:
                continue
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would wait 40 ms for an acknowledgement
    wbufsize = -1

    @property
    def api(self) -> RuntimeApi:
        return self.server.api  # pyright: ignore[reportAttributeAccessIssue]

    def do_GET(self) -> None:  # http.server calls it so
        assert self.path == f"{PATH}invocation/next", self.path
        invoked = self.api.next(self._has_left)
        if invoked is None:
            self.close_connection = True
            return
        self._reply(
            200,
            json.dumps(invoked.event).encode(),
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invoked.request_id,
                "Lambda-Runtime-Invocation-Id": invoked.invocation_id,
                "Lambda-Runtime-Deadline-Ms": str(invoked.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:f",
                "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            },
        )

    def _has_left(self) -> bool:
        """Tell whether the runtime has died, so that its successor gets the invocation."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def do_POST(self) -> None:
        path = self.path.removeprefix(PATH)
        if path == "init/error":
            self.api.init_errors.put(json.loads(b"".join(self._body())))
            self._reply(202)
            return
        _, request_id, what = path.split("/")
        invoked = self.api.invoked[request_id]
        invoked.headers = {name.lower(): value for name, value in self.headers.items()}
        assert invoked.headers.get("lambda-runtime-invocation-id") in {None, invoked.invocation_id}
        if what == "error":
            invoked.error = json.loads(b"".join(self._body()))
            invoked.take(None)
            self._reply(202)
        else:
            self._answered(invoked)

    def _answered(self, invoked: Invoked) -> None:
        invoked.connection = self.connection
        if invoked.refused:
            self.close_connection = True
            self._reply(invoked.refused)
            self.wfile.flush()
            with suppress(OSError, ValueError):  # unread, it would have the reply thrown away
                list(self._body(invoked))
            invoked.done.set()
            return
        try:
            for piece in self._body(invoked):
                invoked.take(piece)
        except (OSError, ValueError):
            invoked.broken = self.close_connection = True
        invoked.take(None)
        if not invoked.broken:
            self._reply(202)

    def _body(self, invoked: Invoked | None = None) -> Generator[bytes]:
        """Yield the pieces of a request's body, and keep its trailers. Raises ValueError if it breaks off."""
        if self.headers.get("transfer-encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("content-length", 0)))
            return
        while size := self._chunk_size(invoked):
            yield self.rfile.read(size)
            if self.rfile.readline() != b"\r\n":
                raise ValueError
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            assert invoked is not None
            invoked.trailers[name.lower()] = value.strip()

    def _chunk_size(self, invoked: Invoked | None) -> int:
        if invoked is not None:
            invoked.reading.wait()
        return int(self.rfile.readline(), 16)

    def _reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        """Say nothing."""


@contextmanager
def running(
    command: Sequence[str],
    api: RuntimeApi,
    environ: Mapping[str, str],
    *,
    handler: str = "",
    root: Path = ROOT,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a runtime as Lambda starts it, over a folder with a function's files; kill it afterwards."""
    given = {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "LAMBDA_TASK_ROOT": str(root),
        "_HANDLER": handler,
    }
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(list(command), env={**environ, **given}, cwd=root, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            log.seek(0)
            print(log.read(), file=sys.stderr)
