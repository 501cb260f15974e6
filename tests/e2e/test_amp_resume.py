"""Answering an execution that waits, in AMP's words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.flows import Status
from functions import crew_amp
from tests.e2e.apps import App, opened
from tests.fixtures_ports import Flows
from tests.webhook_parts import SECRET, Story

ANSWER: dict[str, Any] = {
    "execution_id": "f1",
    "task_id": "write",
    "human_feedback": "more water",
    "is_approve": False,
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    hosts = {"acme": ("hooks.example.com",)}
    with opened(tmp_path, webhook_hosts=hosts, webhook_secrets=(SECRET,)) as app:
        yield app


async def waiting(app: App, url: str | None = "https://h", **kinds: str) -> Story:
    flows = Flows("acme", app.flows, app.flows, app.flows, None)  # pyright: ignore[reportArgumentType] -- no money moves here
    story = await Story(flows).launched(url, **kinds)
    await story.finished("find", "drop")
    await story.finished("write", "Ah")
    await story.waits("write.review.1", "Ah")
    return story


async def answered(app: App, crew: str = "haiku", **changes: Any) -> httpx.Response:
    async with app.client(crew_amp) as client:
        return await client.post(f"/amp/{crew}/resume", json=ANSWER | changes)


async def test_an_execution_that_waits_says_for_what(app: App):
    await waiting(app)
    async with app.client(crew_amp) as client:
        answer = (await client.get("/amp/haiku/status/f1")).json()
    assert answer.pop("last_step")["step"] == "write"
    assert answer == {
        "status": "pending_human_input",
        "state": "STARTED",
        "result": None,
        "result_json": None,
        "execution_id": "f1",
        "task_id": "write",
        "agent": "Poet",
        "output": "Ah",
        "current_task": "write",
        "progress": {"completed_tasks": 1, "total_tasks": 2},
    }


async def test_feedback_has_the_task_done_again(app: App):
    await waiting(app)
    answer = await answered(app)
    state = await app.flows.state("acme", "f1")
    assert (answer.status_code, answer.json()["status"]) == (200, "retrying")
    assert state.head.status is Status.RUNNING
    assert state.results["write.review.1"]["output"] == {
        "approve": False,
        "feedback": "more water",
    }


async def test_approval_has_the_execution_go_on(app: App):
    await waiting(app)
    answer = await answered(app, is_approve=True, human_feedback="")
    assert answer.json() == {"status": "resumed", "message": "the execution goes on"}


async def test_an_answer_sent_twice_is_one_answer(app: App):
    await waiting(app)
    first = await answered(app)
    sequence = (await app.flows.head("acme", "f1")).sequence
    assert (await answered(app)).json() == first.json()
    assert (await app.flows.head("acme", "f1")).sequence == sequence
    assert (await answered(app, is_approve=True)).status_code == 409


async def test_an_answer_on_another_task_is_a_conflict(app: App):
    await waiting(app)
    assert (await answered(app, task_id="find")).status_code == 409
    assert (await app.flows.head("acme", "f1")).status is Status.WAITING


async def test_nothing_is_answered_where_nobody_waits_or_nothing_is(app: App):
    story = await waiting(app)
    assert (await answered(app, crew="sonnet")).status_code == 404
    assert (await answered(app, execution_id="f2")).status_code == 404
    await story.answered("write.review.1", approve=True)
    await story.ended()
    assert (await answered(app)).status_code == 409


async def test_webhooks_may_be_repeated_but_not_changed(app: App):
    await waiting(app)
    other = await answered(app, crewWebhookUrl="https://h/other")
    assert other.status_code == 422
    assert [error["pointer"] for error in other.json()["errors"]] == ["/crewWebhookUrl"]
    same = await answered(app, crewWebhookUrl="https://h/crew", taskWebhookUrl="https://h/task")
    assert same.status_code == 200


async def test_an_answer_may_add_webhooks_to_a_kickoff_that_had_some(app: App):
    await waiting(app, human_input="https://hooks.example.com/hitl")
    added = {"crewWebhookUrl": "https://hooks.example.com/crew"}
    refused = await answered(app, crewWebhookUrl="https://evil.example/")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/crewWebhookUrl"]
    first = await answered(app, **added)
    assert (first.status_code, first.json()["status"]) == (200, "retrying")
    assert (await answered(app, **added)).json() == first.json()
    assert (await answered(app, crewWebhookUrl="https://hooks.example.com/2")).status_code != 200


async def test_an_answer_cannot_add_webhooks_where_the_kickoff_had_none(app: App):
    await waiting(app, url=None)
    refused = await answered(app, crewWebhookUrl="https://hooks.example.com/")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/crewWebhookUrl"]
    assert (await answered(app)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"human_feedback": " "}, "/human_feedback"),
        ({"human_feedback": "x" * 20_001}, "/human_feedback"),
        ({"is_approve": "perhaps"}, "/is_approve"),
        ({"taskId": "write"}, "/taskId"),
    ],
)
async def test_an_answer_that_is_none_is_told_where(
    app: App, changes: dict[str, Any], pointer: str
):
    await waiting(app)
    answer = await answered(app, **changes)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
