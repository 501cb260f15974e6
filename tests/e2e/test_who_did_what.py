"""Who launched a flow, answered it and cancelled it stands in its state and its events."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.identity import FLOWS_APPROVE, SCOPES
from functions import crew_agui, crew_amp, crew_launch
from tests.e2e.agui_parts import asked
from tests.e2e.apps import App, begin, opened
from tests.e2e.test_launch import REQUEST
from tests.e2e.test_resume import waits

INPUTS = REQUEST["inputs"]
LAUNCHES = [
    (crew_launch, "/v1/flows", REQUEST),
    (crew_amp, "/amp/haiku/kickoff", {"inputs": INPUTS}),
    (crew_agui, "/v1/agui/haiku", asked(forwardedProps={"inputs": INPUTS})),
]
ALL_BUT_APPROVE = SCOPES - {FLOWS_APPROVE}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, agui_seconds=0.2) as app:
        yield app


async def value_of(app: App, name: str) -> Any:
    entries = await app.flows.entries("acme", "f1", 0, 100)
    told = [json.loads(entry.json) for entry in entries]
    return next(event["value"] for event in told if event.get("name") == name)


@pytest.mark.parametrize(("function", "path", "body"), LAUNCHES)
async def test_a_flow_says_who_launched_it(app: App, function: Any, path: str, body: Any):
    async with app.client(function) as client:
        assert (await client.post(path, json=body)).is_success
    (summary,) = await app.flows.recent("acme", 1)
    state = await app.flows.snapshot("acme", summary.id)
    assert state.public()["launched_by"] == "ann"


async def test_an_answer_and_an_end_say_who_gave_them(app: App):
    await waits(app)
    async with app.client(crew_launch) as client:
        assert (
            await client.post(
                "/v1/flows/f1/resume", json={"review": "one.review.1", "approve": True}
            )
        ).is_success
        assert (await client.post("/v1/flows/f1/cancel")).is_success
    assert (await value_of(app, "resumed"))["by"] == "ann"
    assert await value_of(app, "cancelled") == {"by": "ann"}


async def test_who_may_launch_may_not_for_that_reason_approve(app: App):
    await waits(app)
    answers = [
        (crew_launch, "/v1/flows/f1/resume", {"review": "one.review.1", "approve": True}),
        (
            crew_amp,
            "/amp/haiku/resume",
            {"execution_id": "f1", "task_id": "one", "human_feedback": "", "is_approve": True},
        ),
    ]
    for function, path, body in answers:
        async with app.client(function, scopes=ALL_BUT_APPROVE) as client:
            assert (await client.post(path, json=body)).status_code == 403
    assert (await app.flows.state("acme", "f1")).waiting is not None


async def test_a_flow_that_was_not_launched_over_http_names_nobody(app: App):
    await begin(app.flows)
    assert (await app.flows.snapshot("acme", "f1")).public()["launched_by"] is None
