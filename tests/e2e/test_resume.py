"""Answering a flow that waits for a person, over HTTP."""

from typing import Any

import httpx
import pytest

from core.flows import Status, events
from functions import crew_launch
from tests.e2e.apps import House, begin, end

WAITING = {"review": "one.review.1", "task": "one", "step": "one", "agent": "A", "output": "draft"}


async def waits(house: House, flow: str = "f1") -> None:
    await begin(house.flows, flow)
    state = await house.flows.state("acme", flow)
    await house.flows.move(
        "acme",
        flow,
        Status.WAITING,
        status_epoch=state.status_epoch,
        events=events.custom("waiting", WAITING),
        waiting=WAITING,
    )


async def resumed(
    house: House, flow: str = "f1", tenant: str = "acme", **body: Any
) -> httpx.Response:
    async with house.client(crew_launch, tenant=tenant) as client:
        return await client.post(f"/v1/flows/{flow}/resume", json=body)


async def test_an_approved_flow_goes_on_and_says_what_it_was_told(house: House):
    await waits(house)
    answer = await resumed(house, approve=True)
    state = await house.flows.state("acme", "f1")
    assert (answer.status_code, answer.json()) == (200, state.public())
    assert (state.head.status, state.waiting) == (Status.RUNNING, None)
    assert state.results["one.review.1"]["output"]["approve"] is True
    log = await house.flows.entries("acme", "f1", 0, 100)
    assert '"name":"resumed"' in log[-1].event


async def test_an_answer_sent_again_with_its_review_gets_the_same_answer(house: House):
    await waits(house)
    body = {"approve": False, "feedback": "shorter", "review": "one.review.1"}
    first = await resumed(house, **body)
    assert (await resumed(house, **body)).json() == first.json()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"approve": False}, "/feedback"),
        ({"approve": "perhaps"}, "/approve"),
        ({"approve": True, "more": 1}, "/more"),
        ({}, "/approve"),
    ],
)
async def test_an_answer_that_says_nothing_is_refused(
    house: House, body: dict[str, Any], pointer: str
):
    await waits(house)
    answer = await resumed(house, **body)
    assert answer.status_code == 422
    assert pointer in str(answer.json())
    assert (await house.flows.head("acme", "f1")).status is Status.WAITING


async def test_a_flow_that_waits_for_nobody_or_another_answer_is_a_conflict(house: House):
    await begin(house.flows, "f2")
    assert (await resumed(house, "f2", approve=True)).status_code == 409
    await end(house.flows, "f2")
    assert (await resumed(house, "f2", approve=True)).status_code == 409
    await waits(house)
    assert (await resumed(house, approve=True, review="one.review.9")).status_code == 409


async def test_another_tenants_flow_is_not_found(house: House):
    await waits(house)
    assert (await resumed(house, tenant="other", approve=True)).status_code == 404
