"""CrewAI AMP's HTTP API over flows: inputs, kickoff, status."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.flows import Status
from functions import crew_amp
from tests.e2e.apps import App, gateway_event, opened
from tests.fixtures_ports import Flows
from tests.webhook_parts import SECRET, Story

HOSTS = {"acme": ("hooks.example.com",)}
KICKOFF: dict[str, Any] = {"inputs": {"topic": "rain"}}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, webhook_hosts=HOSTS, webhook_secrets=(SECRET,)) as app:
        yield app


async def asked(
    app: App, path: str, method: str = "GET", body: Any = None, **who: Any
) -> httpx.Response:
    headers = who.pop("headers", {})
    async with app.client(crew_amp, **who) as client:
        return await client.request(method, f"/amp/{path}", json=body, headers=headers)


async def kicked_off(app: App, body: Any = None, **more: Any) -> httpx.Response:
    return await asked(app, "haiku/kickoff", "POST", body or KICKOFF, **more)


def story(app: App) -> Story:
    return Story(Flows("acme", app.flows, app.flows, app.flows, None))  # pyright: ignore[reportArgumentType] -- no money moves here


async def test_inputs_are_named(app: App):
    answer = await asked(app, "haiku/inputs")
    assert (answer.status_code, answer.json()) == (
        200,
        {"inputs": ["topic"], "optional": ["season"]},
    )
    head = await asked(app, "haiku/inputs", "HEAD")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_kickoff_is_a_flow(app: App):
    answer = await kicked_off(app)
    flow = answer.json()["kickoff_id"]
    state = await app.flows.state("acme", flow)
    assert (answer.status_code, list(answer.json())) == (200, ["kickoff_id"])
    assert (state.crew, state.inputs["topic"], state.webhooks) == ("haiku", "rain", {})
    assert await app.flows.take("acme", 10, 0) == [flow]


async def test_a_kickoff_sent_again_under_its_key_is_one_flow(app: App):
    key = {"idempotency-key": "k"}
    answers = await asyncio.gather(*(kicked_off(app, headers=key) for _ in range(20)))
    assert len({answer.text for answer in answers}) == 1
    assert len(await app.flows.recent("acme", 10)) == 1
    other = KICKOFF | {"crewWebhookUrl": "https://hooks.example.com/"}
    assert (await kicked_off(app, other, headers=key)).status_code == 409


async def test_webhooks_are_kept_with_what_goes_into_each(app: App):
    urls = {f"{kind}WebhookUrl": f"https://hooks.example.com/{kind}" for kind in ("task", "crew")}
    answer = await kicked_off(app, KICKOFF | urls | {"meta": {"requestId": "r"}})
    state = await app.flows.state("acme", answer.json()["kickoff_id"])
    assert state.webhooks == {
        "task": "https://hooks.example.com/task",
        "crew": "https://hooks.example.com/crew",
        "meta": {"requestId": "r"},
    }
    assert "hooks" not in str(state.public())


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/inputs"]),
        ({"inputs": {}}, ["/inputs"]),
        ({"inputs": {"topic": "x" * 50}}, ["/inputs/topic"]),
        (KICKOFF | {"meta": "text"}, ["/meta"]),
        (KICKOFF | {"crew_webhook_url": "https://hooks.example.com/"}, ["/crew_webhook_url"]),
        (KICKOFF | {"humanInputWebhook": {"url": "x"}}, ["/humanInputWebhook"]),
        (KICKOFF | {"taskWebhookUrl": 7}, ["/taskWebhookUrl"]),
        (
            KICKOFF | {"taskWebhookUrl": "http://169.254.169.254/", "stepWebhookUrl": "https://evil.example/"},
            ["/taskWebhookUrl", "/stepWebhookUrl"],
        ),
    ],
)  # fmt: skip
async def test_a_kickoff_that_does_not_fit_is_told_where(
    app: App, body: dict[str, Any], pointers: list[str]
):
    answer = await asked(app, "haiku/kickoff", "POST", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert await app.flows.recent("acme", 10) == []


async def test_an_allowed_host_is_allowed_to_its_own_tenant_alone(app: App):
    body = KICKOFF | {"crewWebhookUrl": "https://hooks.example.com/"}
    assert (await kicked_off(app, body)).status_code == 200
    assert (await kicked_off(app, body, tenant="rival")).status_code == 422


async def test_errors_are_problems_and_amps_at_once(app: App):
    answer = await asked(app, "nobody/inputs")
    problem = answer.json()
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert problem["type"] == "urn:crewline:problem:not-found"
    assert (problem["error"], problem["message"]) == ("No such thing", "No such thing")
    async with app.client(crew_amp) as client:
        stranger = await client.get("/amp/haiku/inputs", headers={"authorization": "Bearer x"})
    assert stranger.status_code == 401
    assert stranger.json()["message"] == stranger.json()["detail"]


@pytest.mark.parametrize(
    ("path", "method", "scope"),
    [
        ("haiku/inputs", "GET", "crews:read"),
        ("haiku/kickoff", "POST", "flows:write"),
        ("haiku/status/fl_1", "GET", "flows:read"),
        ("haiku/resume", "POST", "flows:write"),
    ],
)
async def test_each_route_takes_its_scope(app: App, path: str, method: str, scope: str):
    every = {"crews:read", "flows:read", "flows:write", "inputs:write"}
    assert (await asked(app, path, method, {}, scopes=every - {scope})).status_code == 403
    assert (await asked(app, path, method, {}, scopes={scope})).status_code != 403


async def test_an_execution_that_runs_says_how_far_it_is(app: App):
    told = await story(app).launched("https://h")
    answer = await asked(app, "haiku/status/f1")
    assert answer.json() == {
        "status": "running",
        "current_task": "find",
        "progress": {"completed_tasks": 0, "total_tasks": 2},
    }
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["retry-after"] == "5"
    await told.finished("find", "drop")
    assert (await asked(app, "haiku/status/f1")).json() == {
        "status": "running",
        "current_task": "write",
        "progress": {"completed_tasks": 1, "total_tasks": 2},
    }


async def test_an_execution_that_is_complete_says_what_it_came_to(app: App):
    await (await story(app).launched("https://h")).whole()
    answer = (await asked(app, "haiku/status/f1")).json()
    assert answer["status"] == "completed"
    assert answer["execution_time"] >= 0
    times = [task.pop("execution_time") for task in answer["result"]["tasks"]]
    assert all(0 <= seconds < 60 for seconds in times)
    assert answer["result"] == {
        "output": "Oh",
        "tasks": [
            {
                "task_id": "find",
                "output": '{"words": ["drop"]}',
                "output_json": {"words": ["drop"]},
                "agent": "Poet",
            },
            {"task_id": "write", "output": "Oh", "agent": "Poet"},
        ],
    }


async def test_an_execution_that_failed_or_was_cancelled_is_an_error(app: App):
    await (await story(app).launched("https://h")).failed("no words came")
    answer = (await asked(app, "haiku/status/f1")).json()
    assert answer == {"status": "error", "error": "no words came", "execution_time": 0.0}


async def test_an_execution_of_another_crew_or_tenant_is_not_there(app: App, tmp_path: Path):
    (tmp_path / "sonnet").mkdir()
    (tmp_path / "sonnet" / "crew.yaml").write_text(
        (tmp_path / "haiku" / "crew.yaml").read_text().replace("name: haiku", "name: sonnet")
    )
    flow = (await kicked_off(app)).json()["kickoff_id"]
    answers = [
        await asked(app, f"sonnet/status/{flow}"),
        await asked(app, f"haiku/status/{flow}", tenant="rival"),
        await asked(app, "haiku/status/fl_nothing"),
        await asked(app, "haiku/status/a.b"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert (await app.flows.head("acme", flow)).status is Status.QUEUED


def test_lambda_answers_as_every_host(app: App):
    event = gateway_event("GET", "/amp/haiku/inputs", app.bearer())
    answer = crew_amp.handler(event, None)
    assert (answer["statusCode"], answer["body"]) == (
        200,
        '{"inputs":["topic"],"optional":["season"]}',
    )
