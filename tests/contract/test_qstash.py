"""Flows that are woken over QStash: a stub of its API that signs and delivers as it does."""

import base64
import hashlib
import json
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
from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog, MemoryFlows
from core.adapters.qstash import QStashVerifier, QStashWakeQueue
from core.config import Settings, SettingsError
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.definition import Definition
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.errors import UnauthenticatedError, UnavailableError
from core.flows import Status
from core.learning.model_store import ModelStore
from core.learning.seals import SealKeys
from functions import crew_worker, retrain, sweep
from tests.fixtures_ports import leased
from tests.worker_parts import ANY_NUMBER, a_worker, launched

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
        settings=Settings.from_environ(ENVIRON), worker=worker, partition_check=ANY_NUMBER
    ):
        yield Deployment(flows, wake, steps, worker)


async def knock(
    body: bytes, signed: str | None, app: Any = crew_worker.app, url: str = URL
) -> httpx.Response:
    headers = {} if signed is None else {"upstash-signature": signed}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await client.post(url, content=body, headers=headers)


async def test_a_schedule_of_qstash_sweeps(qstash: Stub, deployment: Deployment):
    await launched(deployment.flows, CREW)
    signed = signature(b"", sub=SWEEP_URL)
    settings = Settings.from_environ(ENVIRON | {"CREWLINE_SWEEP_URL": SWEEP_URL})
    ports: dict[str, Any] = {"ledger": deployment.flows, "wake_queue": deployment.wake_queue}
    with bootstrap.replace(settings=settings, **ports):
        answer = await knock(b"", signed, sweep.app, SWEEP_URL)
        assert (answer.status_code, answer.json()) == (200, {"woken": 1, "told": 0})
        await qstash.deliver()
        assert (await deployment.flows.head("t", "f")).status is Status.SUCCEEDED
        for forged in (None, signature(b""), signature(b"x", sub=SWEEP_URL)):
            assert (await knock(b"", forged, sweep.app, SWEEP_URL)).status_code == 401
    assert (await knock(b"", signed, sweep.app, SWEEP_URL)).status_code == 404  # not set up


@pytest.mark.usefixtures("deployment")
async def test_a_schedule_of_qstash_retrains():
    url = "http://worker.test/v1/retrain"
    signed = signature(b"", sub=url)
    settings = Settings.from_environ(ENVIRON | {"CREWLINE_RETRAIN_URL": url})
    blobs, log = MemoryBlobs(), MemoryFeedbackLog(lambda: 0)
    store = ModelStore(lambda: blobs, SealKeys({"k": "s3cr-t0k" * 4}))
    with bootstrap.replace(settings=settings, feedback_log=log, model_store=store):
        answer = await knock(b"", signed, retrain.app, url)
        assert (answer.status_code, answer.json()) == (200, {})
        for forged in (None, signature(b""), signature(b"x", sub=url)):
            assert (await knock(b"", forged, retrain.app, url)).status_code == 401
    assert (await knock(b"", signed, retrain.app, url)).status_code == 404  # not set up


@pytest.mark.parametrize("key", [CURRENT, NEXT])
async def test_a_message_has_the_worker_run_the_flow_under_either_key(
    qstash: Stub, deployment: Deployment, key: str
):
    await launched(deployment.flows, CREW)
    await deployment.wake_queue.enqueue("t", "f")
    await qstash.deliver(key)
    assert (await deployment.flows.head("t", "f")).status is Status.SUCCEEDED
    assert deployment.steps.began == ["one", "two"]


async def test_a_replay_or_a_message_for_nobody_changes_nothing(
    qstash: Stub, deployment: Deployment
):
    await launched(deployment.flows, CREW)
    for flow in ("f", "nowhere", "f"):
        await deployment.wake_queue.enqueue("t", flow)
    await qstash.deliver()
    head = await deployment.flows.head("t", "f")
    body = b'{"tenant": "t", "flow": "f"}'
    signed = signature(body)
    assert [(await knock(body, signed)).status_code for _ in range(3)] == [204] * 3
    assert deployment.steps.began == ["one", "two"]
    assert await deployment.flows.head("t", "f") == head


async def test_a_flow_that_takes_longer_than_a_request_goes_on_in_the_next(
    qstash: Stub, deployment: Deployment
):
    await launched(deployment.flows, CREW)
    await leased(deployment.flows, "t", 0)
    await deployment.worker.run_flow(
        "t", "f", crew_worker.DeadlineClock(30)
    )  # too short for a step
    assert deployment.steps.began == []
    assert len(qstash.messages) == 1
    await qstash.deliver()
    assert deployment.steps.began == ["one", "two"]


async def test_in_an_outage_the_message_is_retried_and_in_the_end_set_aside(
    qstash: Stub, deployment: Deployment
):
    class Away(MemoryFlows):
        async def state(self, tenant: str, flow: str) -> Any:
            raise UnavailableError(f"{tenant}'s {flow} is away")

    worker = a_worker(
        Away(), deployment.steps, wake_queue=deployment.wake_queue, timing=Timing(3, 1, 60)
    )
    body = b'{"tenant": "t", "flow": "f"}'
    with bootstrap.replace(worker=worker):
        answer = await knock(body, signature(body))
        await deployment.wake_queue.enqueue("t", "f")
        await qstash.deliver()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [json.loads(body) for body in qstash.dead] == [{"tenant": "t", "flow": "f"}]


BODY = b'{"tenant": "t", "flow": "f"}'


@pytest.mark.parametrize(
    "signed",
    [
        None,
        "",
        "a.b.c",
        signature(BODY, OTHER),
        signature(b"another body"),
        signature(BODY, sub="http://other.test/v1/worker"),
        signature(BODY, iss="Somebody"),
        signature(BODY, exp=1),
        signature(BODY, exp=None),
        signature(BODY, nbf=int(time.time()) + 600),
        jwt.encode({"iss": "Upstash"}, CURRENT, algorithm="HS512"),
        jwt.encode({"iss": "Upstash", "sub": URL}, None, algorithm="none"),
    ],
)
async def test_nobody_else_wakes_a_worker(deployment: Deployment, signed: str | None):
    await launched(deployment.flows, CREW)
    answer = await knock(BODY, signed)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert deployment.steps.began == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"tenant": 1, "flow": "f"}'])
async def test_a_signed_message_of_another_kind_is_dropped(deployment: Deployment, body: bytes):
    assert (await knock(body, signature(body))).status_code == 204
    assert deployment.steps.began == []


async def test_no_message_is_longer_than_it_can_be(deployment: Deployment):
    body = b" " * 5000
    assert (await knock(body, signature(body))).status_code == 413
    assert deployment.steps.began == []


async def test_a_queue_that_refuses_or_is_gone_is_unavailable(qstash: Stub):
    with pytest.raises(UnavailableError, match="401"):
        await QStashWakeQueue(qstash.url, "wrong", URL).enqueue("t", "f")
    with pytest.raises(UnavailableError, match="not answer"):
        await QStashWakeQueue("http://127.0.0.1:9", "q", URL).enqueue("t", "f")


def test_a_body_hash_counts_with_or_without_padding():
    digest = base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).decode()
    QStashVerifier([CURRENT]).verify(signature(BODY, body=digest.rstrip("=")), BODY, URL)
    with pytest.raises(UnauthenticatedError):
        QStashVerifier([CURRENT]).verify(signature(BODY, body=""), BODY, URL)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"QSTASH_TOKEN": ""}, "QSTASH_TOKEN"),
        ({"QSTASH_NEXT_SIGNING_KEY": ""}, "QSTASH_NEXT_SIGNING_KEY"),
        ({"CREWLINE_WORKER_SECONDS": "60"}, "CREWLINE_WORKER_SECONDS"),
        ({"CREWLINE_QUEUE_URL": "https://sqs.example/1/q"}, "not both"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(changes: dict[str, str], named: str):
    with pytest.raises(SettingsError, match=named):
        Settings.from_environ(ENVIRON | changes)


async def test_a_worker_that_is_woken_otherwise_has_no_such_address():
    without = {name: value for name, value in ENVIRON.items() if name != "CREWLINE_WORKER_URL"}
    with bootstrap.replace(settings=Settings.from_environ(without)):
        assert (await knock(BODY, signature(BODY))).status_code == 404
