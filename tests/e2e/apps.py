"""The real functions over ports in memory, called as an ASGI server or as Lambda calls them."""

import base64
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx

from core import bootstrap
from core.adapters.memory import (
    MemoryAgreedPrices,
    MemoryBlobs,
    MemoryBudgets,
    MemoryCallLedger,
    MemoryFeedbackLog,
    MemoryFlows,
    MemorySpendingLog,
    MemoryTrials,
    MemoryUsageBook,
)
from core.config import Settings
from core.crews.definition import Registry
from core.crews.ledger import Claim, StepWrite
from core.crews.lessons import Lessons
from core.flows import Head, Status, events
from core.flows.hub import Hub
from core.flows.stream_limiter import StreamLimiter
from core.flows.values import LargeValues
from core.identity import SCOPES, Keys, mint
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.learning.serving import Learners
from core.webhooks.targets import Targets
from crews.deciders import DECIDERS
from tests.crew_folders import with_crew
from tests.fixtures_ports import a_launch

KEYS = {"test": "k" * 32}
LEASE_MS = 30_000
HAIKU = """
name: haiku
description: Writes a haiku on a topic.
process: sequential
inputs:
  type: object
  additionalProperties: false
  required: [topic]
  properties:
    topic: {type: string, maxLength: 40}
    season: {type: string, default: autumn}
agents:
  poet: {role: Poet, goal: Write, backstory: Wrote}
tasks:
  write: {description: "Write on {topic} in {season}", expected_output: A haiku, agent: poet}
"""


@dataclass(frozen=True)
class App:
    """What the functions find behind their ports, and ways to call them."""

    flows: MemoryFlows
    blobs: MemoryBlobs
    keys: Keys

    def bearer(
        self, tenant: str = "acme", scopes: Iterable[str] = SCOPES, subject: str = "ann"
    ) -> dict[str, str]:
        token = mint(self.keys, tenant, subject, scopes, ttl_seconds=600, now=int(time.time()))
        return {"authorization": f"Bearer {token}"}

    def client(self, function: ModuleType, **who: Any) -> httpx.AsyncClient:
        """Return a client of one function, as a tenant with scopes."""
        transport = httpx.ASGITransport(function.app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=self.bearer(**who)
        )


@contextmanager
def opened(folder: Path, flows: MemoryFlows | None = None, **settings: Any) -> Iterator[App]:
    """Put ports in memory in the place of the real ones; the crews are those under `folder`."""
    with_crew(folder, "haiku", HAIKU)
    app = App(flows or MemoryFlows(), MemoryBlobs(), Keys(KEYS))
    seal_keys, log = SealKeys(KEYS), MemoryFeedbackLog()
    store = ModelStore(lambda: app.blobs, seal_keys)
    chosen = Settings("http://nowhere", "none", KEYS, "none", **settings)
    with bootstrap.replace(
        settings=chosen,
        webhook_targets=Targets(chosen.webhook_hosts),
        keys=app.keys,
        flow_log=app.flows,
        hub=Hub(app.flows),
        stream_limiter=StreamLimiter(chosen.streams_per_subject),
        ledger=app.flows,
        call_ledger=MemoryCallLedger(app.flows),
        budgets=MemoryBudgets(app.flows),
        agreed_prices=MemoryAgreedPrices(app.flows),
        spending_log=MemorySpendingLog(app.flows),
        usage_book=MemoryUsageBook(app.flows),
        trials=MemoryTrials(app.flows),
        wake_queue=app.flows,
        blobs=app.blobs,
        registry=Registry(folder),
        values=LargeValues(lambda: app.blobs),
        feedback_log=log,
        seal_keys=seal_keys,
        model_store=store,
        learners=Learners(store, log),
        lessons=Lessons(Learners(store, log), DECIDERS),
    ):
        yield app


async def begin(flows: MemoryFlows, flow: str = "f1", tenant: str = "acme") -> Claim:
    """Create a flow and claim its first step: the log has four events, the flow runs."""
    await flows.create(tenant, a_launch(flow))
    return await claim_first(flows, flow, tenant)


async def claim_first(flows: MemoryFlows, flow: str = "f1", tenant: str = "acme") -> Claim:
    """Claim the first step of a flow."""
    step = (await flows.state(tenant, flow)).steps[0]
    claim = await flows.claim(
        tenant, flow, step, owner="w", lease_ms=LEASE_MS, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return claim


async def tell(flows: MemoryFlows, claim: Claim, seq: int) -> Head:
    await flows.emit(claim, seq, LEASE_MS, StepWrite(events.custom("count", seq)))
    return await flows.head(claim.tenant, claim.flow)


async def end(flows: MemoryFlows, flow: str = "f1", tenant: str = "acme") -> Head:
    finished = events.run_finished(flow, 1)
    await flows.transition(
        tenant, flow, Status.SUCCEEDED, status_epoch=0, events=finished, output="Oh"
    )
    return await flows.head(tenant, flow)


def gateway_event(
    method: str, url: str, headers: dict[str, str], body: bytes = b""
) -> dict[str, Any]:
    """Return an event of API Gateway's HTTP API, version 2.0."""
    parts = urlsplit(url)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"host": "api.example.com", "x-forwarded-proto": "https"} | headers,
        "requestContext": {
            "http": {"method": method, "path": parts.path, "sourceIp": "192.0.2.7"},
            "stage": "$default",
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def rest_event(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> dict[str, Any]:
    """Return an event of API Gateway's REST API, version 1.0."""
    parts = urlsplit(url)
    query = [pair.partition("=") for pair in parts.query.split("&") if pair]
    return {
        "resource": "/{proxy+}",
        "httpMethod": method,
        "path": parts.path,
        "multiValueQueryStringParameters": {name: [value] for name, _, value in query} or None,
        "headers": {"Host": "api.example.com"} | headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": {"identity": {"sourceIp": "192.0.2.7"}, "stage": "dev"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


@dataclass(frozen=True)
class LambdaContext:
    """How long the invocation has, as Lambda tells it."""

    seconds: float = 29.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)
