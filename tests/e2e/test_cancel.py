"""Cancelling flows over HTTP."""

import json

import httpx
import pytest

from core.crews.ledger import FencedError, StepWrite
from core.flows import Status
from functions import crew_launch, flow_status
from tests.e2e.apps import App, begin, end
from tests.fixtures_ports import leased


async def cancelled(app: App, flow: str = "f1", tenant: str = "acme") -> httpx.Response:
    async with app.client(crew_launch, tenant=tenant) as client:
        return await client.post(f"/v1/flows/{flow}/cancel")


async def test_a_cancelled_flow_is_over_and_its_log_says_so_once(app: App):
    await begin(app.flows)
    answer = await cancelled(app)
    state = await app.flows.state("acme", "f1")
    assert (answer.status_code, answer.json()) == (200, state.public())
    assert (state.head.status, state.error) == (Status.CANCELLED, "cancelled by request")
    log = [json.loads(e.json) for e in await app.flows.entries("acme", "f1", 0, 100)]
    assert log[-1] | {"timestamp": 0} == {
        "type": "RUN_ERROR",
        "message": "cancelled by request",
        "code": "cancelled",
        "timestamp": 0,
    }
    assert [event["type"] for event in log].count("RUN_ERROR") == 1


async def test_a_request_sent_again_gets_the_same_answer_and_changes_nothing(app: App):
    await begin(app.flows)
    first = await cancelled(app)
    head = await app.flows.head("acme", "f1")
    assert (await cancelled(app)).json() == first.json()
    assert await app.flows.head("acme", "f1") == head


async def test_whoever_polls_sees_the_end_and_is_not_asked_to_come_back(app: App):
    await begin(app.flows)
    await cancelled(app)
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows/f1")
    assert answer.json()["status"] == "cancelled"
    assert "retry-after" not in answer.headers


async def test_the_worker_of_a_cancelled_flow_can_write_nothing_more(app: App):
    claim = await begin(app.flows)
    await cancelled(app)
    with pytest.raises(FencedError):
        await app.flows.emit(claim, 1, 1000, StepWrite())
    with pytest.raises(FencedError):
        await app.flows.commit(claim, 1, {"output": 1, "raw": "1"}, StepWrite())
    assert await leased(app.flows, "acme", 0) == []


async def test_what_has_ended_otherwise_is_not_cancelled_any_more(app: App):
    await begin(app.flows)
    await end(app.flows)
    answer = await cancelled(app)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the flow has succeeded already"
    assert (await app.flows.head("acme", "f1")).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("flow", "tenant"), [("f1", "other"), ("nowhere", "acme"), ("a b", "acme")]
)
async def test_what_is_not_there_or_another_tenants_is_not_found(app: App, flow: str, tenant: str):
    await begin(app.flows)
    assert (await cancelled(app, flow, tenant)).status_code == 404
    assert (await app.flows.head("acme", "f1")).status is Status.RUNNING
