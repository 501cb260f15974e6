"""The store refuses, in each of Upstash's ways: what callers are told, and that no worker ends."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.wake import RedisWakeListener
from core.crews.clock import StoppableClock
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.timing import Timing
from core.due_loop import Idle, Room
from core.flows import Status
from core.flows.hub import Hub
from functions import crew_launch, flow_events, flow_status
from functions._worker import listening, worker_loop
from infra.local.gateway.refusals import REFUSALS
from tests.e2e.apps import App, opened
from tests.fixtures_ports import Flows, a_launch, over_redis
from tests.fixtures_servers import RoughGateway
from tests.worker_parts import a_crew
from tests.workers import worker_over

TIMING = Timing(lease_seconds=0.6, beat_seconds=0.2, step_seconds=1)
OF_WRITES = {"capacity", "out-of-memory", "read-only"}
TOO_LARGE = {name for name in REFUSALS if name.endswith("-size")}  # no read of ours can be
UNAVAILABLE = httpx.codes.SERVICE_UNAVAILABLE


class Quick(CrewRunner):
    """Answers at once."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        return {"output": work.prompt.step, "raw": work.prompt.step}


@pytest.fixture
async def flows(rough_gateway: RoughGateway) -> Flows:
    client = HttpRedis(rough_gateway.url, rough_gateway.token)
    await client.execute(["FLUSHALL"])  # workers look at all flows that there are
    flows = over_redis(client, rough_gateway.url, rough_gateway.token)
    await flows.ledger.create(flows.tenant, launch("f1"))
    return flows


@pytest.fixture
def app(flows: Flows, tmp_path: Path) -> Iterator[App]:
    with (
        opened(tmp_path) as app,
        bootstrap.replace(
            flow_log=flows.log,
            hub=Hub(flows.log),
            ledger=flows.ledger,
            wake_queue=flows.wake_queue,
        ),
    ):
        yield app


def launch(flow: str):
    return a_launch(flow, definition=a_crew().model_dump(mode="json"))


@pytest.mark.parametrize("name", REFUSALS)
async def test_no_caller_is_told_of_a_fault_of_ours(
    app: App, flows: Flows, rough_gateway: RoughGateway, name: str
):
    rough_gateway.adjust(refuse=name)
    began = time.monotonic()
    async with app.client(flow_status, tenant=flows.tenant) as client:
        poll = await client.get("/v1/flows/f1")
        listed = await client.get("/v1/flows")
    async with app.client(crew_launch, tenant=flows.tenant) as client:
        body = {"crew": "haiku", "inputs": {"topic": "rain"}}
        launched = await client.post("/v1/flows", json=body)
    for answer in (poll, listed) if name not in OF_WRITES else ():
        told_when_to_come_back(answer, name)
    told_when_to_come_back(launched, name)
    assert time.monotonic() - began < 20


def told_when_to_come_back(answer: httpx.Response, name: str) -> None:
    """A refusal that passes is 503; a request that is too large is the request's fault."""
    if name in TOO_LARGE:
        assert answer.is_client_error
        return
    assert answer.status_code == UNAVAILABLE
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("name", sorted(set(REFUSALS) - OF_WRITES - TOO_LARGE))
async def test_a_stream_is_not_refused_for_good(
    app: App, flows: Flows, rough_gateway: RoughGateway, name: str
):
    rough_gateway.adjust(refuse=name)
    async with app.client(flow_events, tenant=flows.tenant) as client:
        answer = await client.get("/v1/flows/f1/events")
    assert answer.status_code == httpx.codes.OK
    assert "retry: " in answer.text


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_worker_outlives_every_refusal_and_goes_on_when_it_is_over(
    flows: Flows, rough_gateway: RoughGateway, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker_loop, "POLLING", Idle(longest=0.1))
    monkeypatch.setattr(listening, "RECONNECT_SECONDS", 0.1)
    url, token = rough_gateway
    worker = worker_over(flows.ledger, flows.calls, flows.wake_queue, Quick(), TIMING)
    listener = RedisWakeListener(HttpPubSub(url, token))
    rough_gateway.adjust(refuse=name)
    clock = StoppableClock(stop_seconds=1)
    serving = asyncio.create_task(worker_loop.serve(worker, listener, clock, Room(4, 2)))
    await asyncio.sleep(0.3)
    assert not serving.done()
    rough_gateway.adjust(refuse=None)
    async with asyncio.timeout(20):
        while (await flows.log.head(flows.tenant, "f1")).status is not Status.SUCCEEDED:  # noqa: ASYNC110 -- the store tells no event
            await asyncio.sleep(0.02)
    clock.stop()
    async with asyncio.timeout(5):
        await serving
