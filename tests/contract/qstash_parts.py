"""A deployment that QStash wakes: a stub of its API that signs and delivers as it does."""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest

from core import bootstrap
from core.adapters.memory import MemoryFlows
from core.adapters.qstash import QStashWakeQueue
from core.config import Settings
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.definition import Definition
from core.crews.timing import Timing
from core.crews.worker import Worker
from functions import crew_worker
from tests.worker_parts import FITTING, a_worker

CURRENT, NEXT, OTHER = "c" * 32, "n" * 32, "o" * 32
URL = "http://worker.test/v1/worker"
SWEEP_URL = "http://worker.test/v1/sweep"
ENVIRON = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"k:{'s3cr-t0k' * 4}",
    "CREWLINE_WORKER_URL": URL,
    "QSTASH_TOKEN": "q",
    "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
    "QSTASH_NEXT_SIGNING_KEY": NEXT,
}
CREW = Definition.model_validate(
    {
        "name": "c",
        "description": "d",
        "process": "sequential",
        "agents": {"a": {"role": "r", "goal": "g", "backstory": "b"}},
        "tasks": {
            name: {"description": "d", "expected_output": "o", "agent": "a"}
            for name in ("one", "two")
        },
    }
)


def signature(body: bytes, key: str = CURRENT, /, **claims: Any) -> str:
    """Sign as QStash does."""
    now = int(time.time())
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    told = {"iss": "Upstash", "sub": URL, "exp": now + 300, "nbf": now, "iat": now,
            "jti": f"jwt_{now}", "body": digest} | claims  # fmt: skip
    return jwt.encode({k: v for k, v in told.items() if v is not None}, key, algorithm="HS256")


class Steps(CrewRunner):
    def __init__(self) -> None:
        self.began: list[str] = []

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        self.began.append(work.prompt.step)
        return {"output": work.prompt.step, "raw": work.prompt.step}


@dataclass
class Stub:
    """QStash: takes messages over HTTP, and delivers them when it is told to."""

    url: str
    messages: list[tuple[str, bytes, int]] = field(default_factory=list)  # address, body, retries
    dead: list[bytes] = field(default_factory=list)

    async def deliver(self, key: str = CURRENT) -> None:
        """Deliver every message to the worker's app, as often as it may be retried."""
        transport = httpx.ASGITransport(crew_worker.app)
        async with httpx.AsyncClient(transport=transport) as client:
            while self.messages:
                address, body, retries = self.messages.pop(0)
                headers = {"upstash-signature": signature(body, key, sub=address)}
                answer = await client.post(address, content=body, headers=headers)
                if answer.is_success:
                    continue
                if retries:
                    self.messages.append((address, body, retries - 1))
                else:
                    self.dead.append(body)


@contextmanager
def listening() -> Iterator[Stub]:
    class Publish(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            ours = self.headers["authorization"] == "Bearer q"
            if ours:
                address = self.path.removeprefix("/v2/publish/")
                retries = int(self.headers.get("upstash-retries", "3"))
                stub.messages.append((address, body, retries))
            self.send_response(201 if ours else 401)
            self.end_headers()
            self.wfile.write(b'{"messageId": "msg_1"}' if ours else b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Publish)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub = Stub(f"http://127.0.0.1:{server.server_port}")
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def qstash() -> Iterator[Stub]:
    with listening() as stub:
        yield stub


@dataclass
class Deployment:
    flows: MemoryFlows
    wake_queue: QStashWakeQueue
    steps: Steps
    worker: Worker


@pytest.fixture
def deployment(qstash: Stub) -> Iterator[Deployment]:
    flows, steps = MemoryFlows(), Steps()
    wake = QStashWakeQueue(qstash.url, "q", URL)
    worker = a_worker(flows, steps, wake_queue=wake, timing=Timing(3, 1, 60))
    with bootstrap.replace(
        settings=Settings.from_environ(ENVIRON), worker=worker, store_check=FITTING
    ):
        yield Deployment(flows, wake, steps, worker)


async def knock(
    body: bytes, signed: str | None, app: Any = crew_worker.app, url: str = URL
) -> httpx.Response:
    headers = {} if signed is None else {"upstash-signature": signed}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await client.post(url, content=body, headers=headers)
