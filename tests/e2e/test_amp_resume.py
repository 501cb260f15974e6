"""Answering an execution that waits, in AMP's words."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.blobs import BlobRef
from core.flows import Status
from functions import crew_amp
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
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
    flows = in_memory(app.flows, "acme")
    story = await Story(flows).launched(url, **kinds)
    await story.finished("find", "drop")
    await story.finished("write", "Ah")
    await story.waits("write.review.1", "Ah")
    return story


async def answered(
    app: App, crew: str = "haiku", key: str | None = None, **changes: Any
) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    async with app.client(crew_amp) as client:
        return await client.post(f"/amp/{crew}/resume", json=ANSWER | changes, headers=headers)


async def second_draft(app: App, story: Story) -> int:
    """Have the next draft wait; return the number of the log's last event."""
    await story.finished("write.2", "Oh")
    await story.waits("write.review.2", "Oh")
    return (await app.flows.head("acme", "f1")).last_event


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
        "review": "write.review.1",
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
    last = (await app.flows.head("acme", "f1")).last_event
    assert (await answered(app)).json() == first.json()
    assert (await app.flows.head("acme", "f1")).last_event == last
    assert (await answered(app, is_approve=True)).status_code == 409


NAMED: list[dict[str, Any]] = [
    {"key": "k-1"},
    {"review": "write.review.1"},
    {"key": "k-1", "review": "write.review.1"},
]


@pytest.mark.parametrize("name", NAMED)
async def test_a_late_repetition_answers_no_other_draft(app: App, name: dict[str, Any]):
    story = await waiting(app)
    first = await answered(app, **name)
    assert first.json()["status"] == "retrying"
    last = await second_draft(app, story)
    again = await answered(app, **name)
    assert (again.status_code, again.json()) == (200, first.json())
    head = await app.flows.head("acme", "f1")
    assert (head.status, head.last_event) == (Status.WAITING, last)


async def test_who_has_seen_one_draft_does_not_approve_another(app: App):
    story = await waiting(app)
    await answered(app, key="k-1")
    last = await second_draft(app, story)
    stale = await answered(app, is_approve=True, review="write.review.1")
    assert stale.status_code == 409
    assert (await app.flows.head("acme", "f1")).last_event == last
    assert (await answered(app, is_approve=True, review="write.review.2")).status_code == 200


async def test_a_key_belongs_to_one_answer(app: App):
    story = await waiting(app)
    assert (await answered(app, key="k-1")).status_code == 200
    await second_draft(app, story)
    other: list[dict[str, Any]] = [
        {"is_approve": True},
        {"human_feedback": "less water"},
        {"review": "write.review.2"},
        {"task_id": "find"},
    ]
    for changes in other:
        assert (await answered(app, key="k-1", **changes)).status_code == 409
    assert (await app.flows.head("acme", "f1")).status is Status.WAITING
    assert (await answered(app, key="k-2")).json()["status"] == "retrying"


async def test_the_same_answer_under_two_keys_is_one_answer(app: App):
    await waiting(app)
    answers = await asyncio.gather(*(answered(app, key=f"k-{n}") for n in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    last = (await app.flows.head("acme", "f1")).last_event
    assert (await answered(app)).status_code == 200
    assert (await app.flows.head("acme", "f1")).last_event == last


async def test_a_client_of_amp_that_names_no_question_answers_the_open_one(app: App):
    story = await waiting(app)
    assert (await answered(app)).json()["status"] == "retrying"
    await second_draft(app, story)
    assert (await answered(app)).json()["status"] == "retrying"
    assert (await app.flows.state("acme", "f1")).waiting is None


async def test_a_result_that_is_kept_elsewhere_does_not_hinder_an_answer(app: App):
    await waiting(app)
    flow = app.flows._records["acme", "f1"].flow
    flow.results["find"] = BlobRef("flows/f1/0a/results/find/1", 50_000)
    assert (await answered(app)).status_code == 200


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
        ({"review": "find.review.1"}, "/review"),
    ],
)
async def test_an_answer_that_is_none_is_told_where(
    app: App, changes: dict[str, Any], pointer: str
):
    await waiting(app)
    answer = await answered(app, **changes)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
