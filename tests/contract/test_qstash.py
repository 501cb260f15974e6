"""Flows that are woken over QStash, and whoever else would wake them."""

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

import jwt
import pytest

from core import bootstrap
from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog, MemoryFlows
from core.adapters.qstash import QStashVerifier, QStashWakeQueue
from core.config import Settings, SettingsError
from core.crews.crew_runner import Session, StepTask
from core.crews.timing import Timing
from core.errors import UnauthenticatedError, UnavailableError
from core.flows import Status
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from functions import crew_worker, retrain, sweep
from tests.contract.qstash_parts import (
    CREW,
    CURRENT,
    ENVIRON,
    NEXT,
    OTHER,
    SWEEP_URL,
    URL,
    Deployment,
    Steps,
    Stub,
    deployment,
    knock,
    qstash,
    signature,
)
from tests.fixtures_ports import leased
from tests.worker_parts import a_worker, launched

__all__ = ["deployment", "qstash"]  # fixtures


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


class Hangs(Steps):
    """Steps of tenant a take longer than a request may."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        if work.tenant == "a":
            await asyncio.sleep(60)
        return await super().run(work, session)


async def test_a_tenant_whose_steps_hang_takes_half_of_the_requests_that_a_worker_serves(
    deployment: Deployment,
):
    worker = a_worker(deployment.flows, Hangs(), timing=Timing(3, 1, 1))
    more = {
        "CREWLINE_WORKER_FLOWS": "4",
        "CREWLINE_WORKER_SECONDS": "9",
        "CREWLINE_STEP_SECONDS": "1",
    }
    named = [*(("a", f"a{n}") for n in range(5)), ("b", "b0")]
    for tenant, flow in named:
        await launched(deployment.flows, CREW, flow, tenant)
    bodies = [json.dumps({"tenant": tenant, "flow": flow}).encode() for tenant, flow in named]
    with bootstrap.replace(worker=worker, settings=Settings.from_environ(ENVIRON | more)):
        answers = await asyncio.gather(*(knock(body, signature(body)) for body in bodies))
    assert (await deployment.flows.head("b", "b0")).status is Status.SUCCEEDED
    assert sorted(answer.status_code for answer in answers) == [204] * 3 + [503] * 3
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "30"}


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
