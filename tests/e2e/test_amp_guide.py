"""The steps of CrewAI's guide "Human-in-the-Loop", one after the other, as it prints them.

https://docs.crewai.com/en/learn/human-in-the-loop
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from core import bootstrap
from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.memory import MemoryOutbox
from functions import crew_amp
from functions._worker import webhook_sending
from tests.crew_folders import with_crew
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
from tests.webhook_parts import CREW, SECRET, Receiver, Story, receiving

BEARER = {"strategy": "bearer", "token": "your-webhook-secret-token"}
BASIC = {"strategy": "basic", "username": "your-username", "password": "your-password"}
BASIC_HEADER = "Basic " + base64.b64encode(b"your-username:your-password").decode()


class Always:
    """A clock that is never up."""

    def seconds_left(self) -> float:
        return 60.0


def hooks(receiver: Receiver) -> dict[str, str]:
    kinds = ("task", "step", "crew")
    return {f"{kind}WebhookUrl": f"{receiver.url}/webhooks/{kind}" for kind in kinds}


async def amp(app: App, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with app.client(crew_amp) as client:
        answer = await client.post(f"/amp/poem/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("authentication", "header"),
    [(BEARER, "Bearer your-webhook-secret-token"), (BASIC, BASIC_HEADER), (None, None)],
)
async def test_a_person_is_asked_by_webhook_and_their_answer_goes_on_with_webhooks(
    tmp_path: Path, authentication: dict[str, str] | None, header: str | None
):
    crew = CREW.model_dump(mode="json", exclude_none=True, exclude_defaults=True) | {"name": "poem"}
    with_crew(tmp_path, "poem", json.dumps(crew))
    async with receiving() as receiver:
        secrets = {"webhook_hosts": receiver.hosts, "webhook_secrets": (SECRET,)}
        with (
            opened(tmp_path, **secrets) as app,
            bootstrap.replace(outbox=MemoryOutbox(app.flows), webhook_sender=HttpWebhookSender()),
        ):
            await follow_the_guide(app, receiver, authentication)
    person, task, end = receiver.posts
    assert person.path == "/hitl"
    assert person.headers.get("authorization") == header
    assert (task.path, end.path) == ("/webhooks/task", "/webhooks/crew")
    assert "authorization" not in task.headers
    assert (task.body["name"], end.body["status"]) == ("write", "completed")
    assert all(post.signed_for("acme") for post in receiver.posts)


async def follow_the_guide(
    app: App, receiver: Receiver, authentication: dict[str, str] | None
) -> None:
    asked: dict[str, Any] = {"url": f"{receiver.url}/hitl"}
    if authentication is not None:
        asked["authentication"] = authentication
    kickoff = await amp(
        app, "kickoff", {"inputs": {"topic": "AI Research"}, "humanInputWebhook": asked}
    )
    story = Story(in_memory(app.flows, "acme"), kickoff["flow_id"])
    await story.finished("find", "words")
    await story.finished("write", "Ah")
    await story.waits("write.review.1", "Ah")
    await webhook_sending.deliver_due(Always())
    (post,) = receiver.posts
    assert post.body["output"] == "Ah"
    resume = {
        "execution_id": post.body["execution_id"],
        "task_id": post.body["task_id"],
        "human_feedback": "Great work! Please add more details.",
        "is_approve": True,
        **hooks(receiver),
    }
    assert (await amp(app, "resume", resume))["status"] == "resumed"
    await story.ended()
    app.flows.outbox[("acme", kickoff["flow_id"])] = 0
    await webhook_sending.deliver_due(Always())
