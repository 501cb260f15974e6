"""A provider that does not stop: an answer has a most of bytes and of seconds, and fails in words, once."""

import gzip
import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from core.adapters.crewai import models
from core.adapters.crewai.http_client import AnswerLimits, client
from core.adapters.crewai.models import model_from
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import a_crew, a_harness, a_step

JSON, STREAM = "application/json", "text/event-stream"
LIMITS = AnswerLimits(whole_bytes=300_000, stream_bytes=600_000, seconds=20)
HURRIED = replace(LIMITS, seconds=0.5)
BEGIN = b'{"id": "c", "choices": [{"message": {"role": "assistant", "content": "'
PIECE = json.dumps(
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
     "choices": [{"index": 0, "delta": {"content": "x" * 1000}, "finish_reason": None}]}
).encode()  # fmt: skip


def endless() -> Iterator[bytes]:
    yield BEGIN
    while True:
        yield b"x" * 10_000


def endless_stream() -> Iterator[bytes]:
    while True:
        yield b"data: " + PIECE + b"\n\n"


def dripping() -> Iterator[bytes]:
    yield BEGIN
    while True:
        yield b"x"
        time.sleep(0.05)


def bomb() -> Iterator[bytes]:
    yield gzip.compress(BEGIN + b"x" * 50_000_000)


@contextmanager
def sending(kind: str, body: Iterator[bytes], **headers: str) -> Generator[tuple[str, list[int]]]:
    """Yield the URL of a server that answers so, and how many bytes it could send to each request."""
    sent = list[int]()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            for name, value in {"content-type": kind, **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            sent.append(0)
            with suppress(OSError):
                for chunk in body:
                    self.wfile.write(chunk)
                    sent[-1] += len(chunk)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", sent
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("kind", "body", "headers", "said"),
    [
        (JSON, endless, {}, "sent over 0.3 MB in one answer"),
        (STREAM, endless_stream, {}, "sent over 0.6 MB in one answer"),
        (JSON, bomb, {"content_encoding": "gzip"}, "sent over 0.3 MB in one answer"),
        (JSON, dripping, {}, "took longer than 0.5 s"),
        (JSON, bomb, {"content_encoding": "br"}, "did not answer as its protocol says"),
    ],
)
async def test_an_answer_without_end_fails_its_step_in_words_and_is_not_asked_for_again(
    kind: str, body, headers: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
):
    limits = HURRIED if body is dripping else LIMITS
    monkeypatch.setattr(models, "shared", lambda: client(limits))
    with sending(kind, body(), **headers) as (url, sent):
        if kind == STREAM:
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            fresh = model_from("openai/gpt-4o-mini", None, "k")
        else:
            fresh = model_from("m", url, None)
        harness = a_harness(llm=fresh)
        began = time.monotonic()
        with pytest.raises(StepFailedError, match=said):
            await harness.run(a_step(a_crew()))
        assert time.monotonic() - began < LIMITS.seconds  # its size ends it, not the time
        assert "protocol" in said or len(sent) == 1
        assert sent[0] < 20_000_000


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_within_the_limits_arrives_whole_packed_or_not(packed: bool):
    data = json.dumps({"text": "ok" * 100_000}).encode()
    headers = {"content_encoding": "gzip"} if packed else {}
    body = iter([gzip.compress(data) if packed else data])
    with sending(JSON, body, **headers) as (url, _), client(LIMITS) as http:
        answer = http.post(url, json={})
        assert answer.json() == json.loads(data)
        assert answer.request.headers["accept-encoding"] == "identity"


def test_a_connection_is_given_up_with_its_answer():
    with sending(JSON, endless()) as (url, sent), client(LIMITS) as http:
        with pytest.raises(Exception, match=r"sent over 0\.3 MB"):
            http.post(url, json={})
        time.sleep(0.3)
        stands = sent[0]
        time.sleep(0.3)
        assert sent[0] == stands
        assert isinstance(http, httpx.Client)
