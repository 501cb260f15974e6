"""Two people who answer one question at once: one of them is told that the other was first."""

import asyncio

import pytest

from core.crews.control import FlowControl
from core.errors import ConflictError
from core.flows import Flow, Status
from tests.fixtures_ports import Flows, a_launch

WAITING = {"review": "one.review.1", "task": "one", "step": "one", "agent": "w", "output": "x"}


async def waiting_flow(flows: Flows, flow: str) -> None:
    await flows.ledger.create(flows.tenant, a_launch(flow))
    await flows.ledger.transition(
        flows.tenant, flow, Status.WAITING, status_epoch=0, events=[], waiting=WAITING
    )


async def answer(flows: Flows, flow: str, *, approve: bool, feedback: str = "") -> Flow:
    return await FlowControl(flows.ledger, flows.wake_queue).resume(
        tenant=flows.tenant,
        flow=flow,
        approve=approve,
        feedback=feedback,
        review="one.review.1",
    )


async def test_of_two_contradicting_answers_the_loser_is_always_told(flows: Flows):
    for number in range(25):
        flow = f"f{number}"
        await waiting_flow(flows, flow)
        answers = await asyncio.gather(
            answer(flows, flow, approve=True),
            answer(flows, flow, approve=False, feedback="The figure is wrong"),
            return_exceptions=True,
        )
        refused = [found for found in answers if isinstance(found, ConflictError)]
        (kept,) = [found for found in answers if isinstance(found, Flow)]
        assert len(refused) == 1
        said = kept.results["one.review.1"]["output"]["approve"]
        assert said is (kept is answers[0])


async def test_the_same_answer_of_two_people_is_one_answer(flows: Flows):
    await waiting_flow(flows, "f1")
    first, second = await asyncio.gather(
        answer(flows, "f1", approve=True), answer(flows, "f1", approve=True)
    )
    assert first.head == second.head
    with pytest.raises(ConflictError):
        await answer(flows, "f1", approve=False, feedback="too late")
