"""Answering a flow that waits for a person, as AG-UI's interrupts have it."""

import asyncio
from typing import Any

import httpx
import jsonschema
import pytest
from ag_ui.core import RunFinishedEvent

from core.crews.ledger import StepWrite
from core.flows import Status, events
from core.identity import FLOWS_APPROVE, SCOPES
from functions import crew_agui
from tests.e2e.agui_parts import PATH, asked, check, claimed, kinds, launched, move, ran, read
from tests.e2e.apps import App

REVIEW = "write.review.1"
WAITING = {
    "review": REVIEW, "reason": "person", "task": "write", "step": "write",
    "agent": "Poet", "output": "Oh",
}  # fmt: skip


async def wait(app: App, review: str = REVIEW) -> None:
    """What a worker does to a flow that waits for a person."""
    waiting = {**WAITING, "review": review}
    await move(app.flows, Status.WAITING, events.custom("waiting", waiting), waiting=waiting)


async def waited(app: App) -> dict[str, Any]:
    """Run a crew until it waits; return the interrupt."""

    async def work() -> None:
        claim = await claimed(app.flows)
        await app.flows.commit(claim, 1, {"output": "Oh"}, StepWrite(events.step_finished("write")))
        await wait(app)

    answer, _ = await asyncio.gather(ran(app, asked()), work())
    return interrupt_of(answer)


def interrupt_of(answer: httpx.Response) -> dict[str, Any]:
    found = read(answer)
    check(found)
    finished = RunFinishedEvent.model_validate(found[-1][1])
    assert finished.outcome is not None
    assert finished.outcome.type == "interrupt"
    (interrupt,) = found[-1][1]["outcome"]["interrupts"]
    return interrupt


async def resume(
    app: App, interrupt: str, run: str = "r2", path: str = PATH, **entry: Any
) -> httpx.Response:
    body = {"status": "resolved", "interruptId": interrupt} | entry
    return await ran(app, asked(run, resume=[body]), path)


async def finish(app: App) -> None:
    flow = await launched(app.flows)
    while (await app.flows.head("acme", flow)).status is Status.WAITING:  # noqa: ASYNC110 -- over HTTP
        await asyncio.sleep(0.01)
    await move(app.flows, Status.SUCCEEDED, events.run_finished(flow, "Oh"), output="Oh")


async def test_the_interrupt_says_what_is_asked_and_how_to_answer(app: App):
    interrupt = await waited(app)
    assert interrupt["id"] == f"{await launched(app.flows)}:{REVIEW}"
    assert interrupt["reason"] == "input_required"
    assert "Poet has finished write" in interrupt["message"]
    assert interrupt["metadata"] == WAITING
    schema = jsonschema.Draft202012Validator(interrupt["responseSchema"])
    assert schema.is_valid({"approve": True})
    assert schema.is_valid({"approve": False, "feedback": "shorter"})
    assert not schema.is_valid({"approve": "yes"})
    assert not schema.is_valid({"approved": True})
    assert not schema.is_valid({"approve": False})


async def test_a_run_that_is_sent_again_while_the_flow_waits_ends_with_the_same_interrupt(
    app: App,
):
    interrupt = await waited(app)
    assert interrupt_of(await ran(app, asked())) == interrupt


async def test_an_approval_goes_on_in_the_new_run(app: App):
    interrupt = await waited(app)
    answer, _ = await asyncio.gather(
        resume(app, interrupt["id"], payload={"approve": True}), finish(app)
    )
    found = read(answer)
    check(found)
    assert kinds(found)[:3] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT"]
    assert found[0][1]["runId"] == "r2"
    assert [e["name"] for _, e in found if e["type"] == "CUSTOM"] == ["resumed"]
    assert (found[-1][1]["runId"], found[-1][1]["result"]) == ("r2", "Oh")
    state = await app.flows.state("acme", await launched(app.flows))
    assert state.results[REVIEW]["output"] == {"approve": True, "feedback": ""}
    assert len(await app.flows.recent("acme", 10)) == 1


async def test_feedback_is_answered_by_the_next_interrupt(app: App):
    interrupt = await waited(app)

    async def ask_again() -> None:
        flow = await launched(app.flows)
        while (await app.flows.head("acme", flow)).status is Status.WAITING:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.01)
        await wait(app, "write.review.2")

    payload = {"approve": False, "feedback": "shorter"}
    answer, _ = await asyncio.gather(resume(app, interrupt["id"], payload=payload), ask_again())
    second = interrupt_of(answer)
    assert second["id"].endswith(":write.review.2")
    again = await resume(app, interrupt["id"], payload=payload)
    assert interrupt_of(again) == second


async def test_a_dismissed_interrupt_cancels_the_flow(app: App):
    interrupt = await waited(app)
    found = read(await resume(app, interrupt["id"], status="cancelled"))
    check(found)
    assert found[-1][1]["outcome"] == {"type": "cancelled"}
    head = await app.flows.head("acme", await launched(app.flows))
    assert head.status is Status.CANCELLED
    again = read(await resume(app, interrupt["id"], status="cancelled"))
    assert again[-1][1]["outcome"] == {"type": "cancelled"}


async def test_of_two_contradicting_answers_the_second_is_refused(app: App):
    interrupt = await waited(app)
    await asyncio.gather(resume(app, interrupt["id"], payload={"approve": True}), finish(app))
    other = {"approve": False, "feedback": "shorter"}
    refused = await resume(app, interrupt["id"], "r3", payload=other)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"


async def test_of_two_clients_at_once_one_gets_the_error(app: App):
    interrupt = await waited(app)
    answers = await asyncio.gather(
        resume(app, interrupt["id"], "r2", payload={"approve": True}),
        resume(app, interrupt["id"], "r3", payload={"approve": False, "feedback": "no"}),
        finish(app),
    )
    assert sorted(answer.status_code for answer in answers[:2]) == [200, 409]  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess] -- the first two are


async def test_the_same_answer_may_be_sent_again_and_shows_the_end(app: App):
    interrupt = await waited(app)
    payload = {"approve": True}
    first, _ = await asyncio.gather(resume(app, interrupt["id"], payload=payload), finish(app))
    again = await resume(app, interrupt["id"], payload=payload)
    assert read(again)[-1] == (read(first)[-1][0], read(again)[-1][1])
    assert kinds(read(again))[-1] == "RUN_FINISHED"


async def test_an_interrupt_that_somebody_else_answered_is_dismissed_without_harm(app: App):
    interrupt = await waited(app)
    await asyncio.gather(resume(app, interrupt["id"], payload={"approve": True}), finish(app))
    late = read(await resume(app, interrupt["id"], "r3", status="cancelled"))
    assert (late[-1][1]["type"], late[-1][1]["result"]) == ("RUN_FINISHED", "Oh")


async def test_the_interrupt_of_a_flow_that_failed_can_be_dismissed(app: App):
    """A client keeps an interrupt until RUN_FINISHED; with RUN_ERROR its thread would be dead."""
    interrupt = await waited(app)
    error = events.run_error("it took too long", "time_limit")
    await move(app.flows, Status.FAILED, error, error="it took too long")
    refused = await resume(app, interrupt["id"], payload={"approve": True})
    assert refused.status_code == 409
    found = read(await resume(app, interrupt["id"], "r3", status="cancelled"))
    assert found[-1][1]["outcome"] == {"type": "cancelled"}


@pytest.mark.parametrize(
    ("entry", "status", "pointer"),
    [
        ({"payload": {"approve": "yes"}}, 422, "/resume/0/payload/approve"),
        ({"payload": {"approve": False}}, 422, "/resume/0/payload/feedback"),
        ({"payload": True}, 422, "/resume/0/payload"),
        ({}, 422, "/resume/0/payload"),
        ({"interruptId": "write.review.1"}, 422, "/resume/0/interruptId"),
        ({"interruptId": "fl_0:write.review.1", "payload": {"approve": True}}, 404, None),
        ({"interruptId": "../x:write.review.1", "payload": {"approve": True}}, 404, None),
    ],
)
async def test_what_answers_nothing_is_a_problem_and_the_flow_waits_on(
    app: App, entry: dict[str, Any], status: int, pointer: str | None
):
    interrupt = await waited(app)
    answer = await resume(app, **{"interrupt": interrupt["id"]} | entry)
    assert answer.status_code == status
    assert [e["pointer"] for e in answer.json().get("errors", [])] == ([pointer] if pointer else [])
    head = await app.flows.head("acme", await launched(app.flows))
    assert head.status is Status.WAITING


async def test_nobody_answers_for_another_tenant(app: App):
    interrupt = await waited(app)
    entry = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approve": True}}
    async with app.client(crew_agui, tenant="rival") as client:
        answer = await client.post(PATH, json=asked("r2", resume=[entry]))
    assert answer.status_code == 404


async def test_one_interrupt_is_answered_at_a_time(app: App):
    interrupt = await waited(app)
    entry = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approve": True}}
    assert (await ran(app, asked("r2", resume=[entry, entry]))).status_code == 422


async def test_an_answer_takes_the_scope_to_approve(app: App):
    interrupt = await waited(app)
    body = {"status": "resolved", "interruptId": interrupt["id"], "payload": {"approve": True}}
    async with app.client(crew_agui, scopes=SCOPES - {FLOWS_APPROVE}) as client:
        answer = await client.post(PATH, json=asked("r2", resume=[body]))
    assert answer.status_code == 403
