"""Errors that say what there is, where that is no secret."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from core.flows import Status, events
from functions import crew_agui, crew_amp, crew_launch, flow_status
from tests.e2e.apps import App, begin, opened

INPUTS = {"inputs": {"topic": "rain"}}
RUN = {"threadId": "t", "runId": "r", "state": INPUTS}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path) as app:
        yield app


async def output(app: App, flow: str = "f1", **who: Any) -> httpx.Response:
    async with app.client(flow_status, **who) as client:
        return await client.get(f"/v1/flows/{flow}/output")


async def test_an_output_that_is_not_there_yet_is_a_404_that_says_so(app: App):
    await begin(app.flows)
    answer = await output(app)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "the flow is running and has no output yet"
    failed = events.run_error("no luck", "step")
    await app.flows.transition(
        "acme", "f1", Status.FAILED, status_epoch=0, events=failed, error="no luck"
    )
    assert (await output(app)).json()["detail"] == "the flow is failed and has no output"


async def test_whether_another_tenant_has_the_flow_is_not_said(app: App):
    await begin(app.flows)
    others, nobodys = await output(app, tenant="umbrella"), await output(app, "f2")
    assert others.status_code == nobodys.status_code == 404
    assert others.json() == nobodys.json()
    assert "detail" not in others.json()


@pytest.mark.parametrize(
    ("function", "method", "path", "body"),
    [
        (crew_amp, "GET", "/amp/nope/inputs", None),
        (crew_amp, "POST", "/amp/nope/kickoff", INPUTS),
        (crew_agui, "POST", "/v1/agui/nope", RUN),
        (crew_launch, "POST", "/v1/flows", {"crew": "nope"}),
    ],
)
async def test_an_unknown_crew_is_told_with_those_that_there_are(
    app: App, function: ModuleType, method: str, path: str, body: dict[str, Any] | None
):
    async with app.client(function) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == (422 if path == "/v1/flows" else 404)
    assert answer.json()["detail"] == "no such crew; there are: haiku"


@pytest.mark.parametrize(
    ("function", "path", "body"),
    [
        (crew_launch, "/v1/flows", {"crew": "haiku"}),
        (crew_amp, "/amp/haiku/kickoff", {}),
    ],
)
async def test_a_key_of_another_request_is_named(
    app: App, function: ModuleType, path: str, body: dict[str, Any]
):
    async with app.client(function) as client:
        headers = {"idempotency-key": "k-1"}
        answers = [
            await client.post(path, json=body | {"inputs": {"topic": topic}}, headers=headers)
            for topic in ("rain", "rain", "snow")
        ]
    assert [answer.status_code for answer in answers[:2]] == [answers[0].status_code] * 2
    assert answers[2].status_code == 409
    assert "Idempotency-Key" in answers[2].json()["detail"]
