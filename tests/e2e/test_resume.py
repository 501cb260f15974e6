"""Answering a flow that waits for a person, over HTTP."""

from typing import Any

import httpx
import pytest

from core.flows import Status, events
from functions import crew_launch
from tests.e2e.apps import App, begin, end

WAITING = {"review": "one.review.1", "task": "one", "step": "one", "agent": "A", "output": "draft"}


async def waits(app: App, flow: str = "f1") -> None:
    await begin(app.flows, flow)
    state = await app.flows.state("acme", flow)
    await app.flows.transition(
        "acme",
        flow,
        Status.WAITING,
        status_epoch=state.status_epoch,
        events=events.custom("waiting", WAITING),
        waiting=WAITING,
    )


async def resumed(app: App, flow: str = "f1", tenant: str = "acme", **body: Any) -> httpx.Response:
    async with app.client(crew_launch, tenant=tenant) as client:
        return await client.post(f"/v1/flows/{flow}/resume", json=body)


async def test_an_approved_flow_goes_on_and_says_what_it_was_told(app: App):
    await waits(app)
    answer = await resumed(app, approve=True, review="one.review.1")
    state = await app.flows.state("acme", "f1")
    assert (answer.status_code, answer.json()) == (200, state.public())
    assert (state.head.status, state.waiting) == (Status.RUNNING, None)
    assert state.results["one.review.1"]["output"]["approve"] is True
    log = await app.flows.entries("acme", "f1", 0, 100)
    assert '"name":"resumed"' in log[-1].json


async def test_an_answer_sent_again_with_its_review_gets_the_same_answer(app: App):
    await waits(app)
    body = {"approve": False, "feedback": "shorter", "review": "one.review.1"}
    first = await resumed(app, **body)
    assert (await resumed(app, **body)).json() == first.json()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"approve": False}, "/feedback"),
        ({"approve": "perhaps"}, "/approve"),
        ({"approve": True, "more": 1}, "/more"),
        ({}, "/approve"),
        ({"approve": True}, "/review"),
    ],
)
async def test_an_answer_that_says_nothing_is_refused(app: App, body: dict[str, Any], pointer: str):
    await waits(app)
    answer = await resumed(app, **body)
    assert answer.status_code == 422
    assert pointer in str(answer.json())
    assert (await app.flows.head("acme", "f1")).status is Status.WAITING


async def test_a_flow_that_waits_for_nobody_or_another_answer_is_a_conflict(app: App):
    await begin(app.flows, "f2")
    assert (await resumed(app, "f2", approve=True, review="one.review.1")).status_code == 409
    await end(app.flows, "f2")
    assert (await resumed(app, "f2", approve=True, review="one.review.1")).status_code == 409
    await waits(app)
    assert (await resumed(app, approve=True, review="one.review.9")).status_code == 409


async def test_another_tenants_flow_is_not_found(app: App):
    await waits(app)
    assert (
        await resumed(app, tenant="other", approve=True, review="one.review.1")
    ).status_code == 404
