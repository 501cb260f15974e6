"""CrewAI AMP's HTTP API over flows: inputs, kickoff, status."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from functions import crew_amp
from tests.e2e.amp_parts import KICKOFF, app, asked, kicked_off
from tests.e2e.apps import App, gateway_event
from tests.fixtures_ports import leased

__all__ = ["app"]  # a fixture


def asks_person(authentication: dict[str, str]) -> dict[str, Any]:
    url = "https://hooks.example.com/hitl"
    return {"humanInputWebhook": {"url": url, "authentication": authentication}}


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
    flow = answer.json()["flow_id"]
    state = await app.flows.state("acme", flow)
    assert (answer.status_code, list(answer.json())) == (200, ["kickoff_id", "flow_id"])
    assert (state.crew, state.inputs["topic"], state.webhooks) == ("haiku", "rain", {})
    assert await leased(app.flows, "acme", 0) == [flow]


async def test_a_kickoff_has_a_uuid_and_every_route_takes_it_and_the_flows_id(app: App):
    ids = (await kicked_off(app)).json()
    assert f"fl_{UUID(ids['kickoff_id']).hex}" == ids["flow_id"]
    paths = [path for i in ids.values() for path in (f"status/{i}", f"{i}/status")]
    answers = [await asked(app, f"haiku/{path}") for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


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
    state = await app.flows.state("acme", answer.json()["flow_id"])
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
        (KICKOFF | {"humanInputWebhook": {"url": "x"}}, ["/humanInputWebhook/url"]),
        (KICKOFF | {"humanInputWebhook": "https://hooks.example.com/"}, ["/humanInputWebhook"]),
        (
            KICKOFF | asks_person({"strategy": "bearer", "token": "two\r\nlines: x"}),
            ["/humanInputWebhook/authentication/bearer/token"],
        ),
        (
            KICKOFF | asks_person({"strategy": "digest", "token": "t"}),
            ["/humanInputWebhook/authentication"],
        ),
        (KICKOFF | {"webhooks": {"events": ["crew_kickoff_started"]}}, ["/webhooks"]),
        (KICKOFF | {"restoreFromStateId": "abcd1234"}, ["/restoreFromStateId"]),
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


@pytest.mark.parametrize(
    ("member", "instead"),
    [("webhooks", "/v1/flows/ID/events"), ("restoreFromStateId", "POST resume")],
)
async def test_what_amp_has_and_this_has_not_is_refused_with_what_to_do_instead(
    app: App, member: str, instead: str
):
    answer = await asked(app, "haiku/kickoff", "POST", KICKOFF | {member: {"url": "x"}})
    (error,) = answer.json()["errors"]
    assert instead in error["detail"]
    assert (await kicked_off(app, KICKOFF | {member: None})).status_code == 200


async def test_the_header_that_a_receiver_asks_for_is_kept_and_shown_to_nobody(app: App):
    basic = asks_person({"strategy": "basic", "username": "me", "password": "pass word"})
    answer = await kicked_off(app, KICKOFF | basic)
    state = await app.flows.state("acme", answer.json()["flow_id"])
    assert state.webhooks["authorization"] == {"human_input": "Basic bWU6cGFzcyB3b3Jk"}
    assert "bWU6" not in str(state.public())


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
    said = "no such crew; there are: haiku"
    assert (problem["error"], problem["message"]) == ("Not found", said)
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
        ("haiku/fl_1/status", "GET", "flows:read"),
        ("haiku/resume", "POST", "flows:approve"),
    ],
)
async def test_each_route_takes_its_scope(app: App, path: str, method: str, scope: str):
    every = {"crews:read", "flows:read", "flows:write", "flows:approve", "inputs:write"}
    assert (await asked(app, path, method, {}, scopes=every - {scope})).status_code == 403
    assert (await asked(app, path, method, {}, scopes={scope})).status_code != 403


def test_lambda_answers_as_every_host(app: App):
    event = gateway_event("GET", "/amp/haiku/inputs", app.bearer())
    answer = crew_amp.handler(event, None)
    assert (answer["statusCode"], answer["body"]) == (
        200,
        '{"inputs":["topic"],"optional":["season"]}',
    )
