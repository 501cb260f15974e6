"""A trial compares with the model that does the task now, and never a model with itself."""

from pathlib import Path
from typing import Any

import pytest

from core.crews.crew_runner import StepFailedError
from tests.e2e.apps import App, opened
from tests.e2e.test_trials import HALF, MODEL, RIGHT, TRIAL, asked, begun, launched, ran, told, used

SMALLEST = "openai/gpt-4.1-nano"


@pytest.mark.parametrize("chosen", [RIGHT.to, "GPT-4o-mini", SMALLEST])
async def test_no_trial_replaces_a_model_that_the_task_has_no_more(app: App, chosen: str):
    await used(app)
    assert (await asked(app, "PUT", MODEL, {"model": chosen})).status_code == 200
    answer = await asked(app, "POST", TRIAL, HALF)
    assert answer.status_code == 409
    said = "already" if chosen != SMALLEST else f"done by {SMALLEST} now"
    assert said in answer.json()["detail"]
    assert await told(app, "/v1/costs/trials") == {"trials": []}


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"model": RIGHT.to}, 409),
        ({"model": SMALLEST}, 409),
        ({"model": "gpt-4o"}, 201),
        ({"model": "gpt-4o", "model_base_url": "http://127.0.0.1:1"}, 201),
    ],
)
async def test_nor_one_that_the_deployment_has_no_more(
    tmp_path: Path, settings: dict[str, Any], status: int
):
    with opened(tmp_path, **settings) as app:
        await used(app)
        answer = await asked(app, "POST", TRIAL, HALF)
        assert answer.status_code == status, answer.text


async def test_a_model_that_the_tenant_chose_is_tried_whatever_the_deployment_has(tmp_path: Path):
    with opened(tmp_path, model=SMALLEST) as app:
        assert (await asked(app, "PUT", MODEL, {"model": RIGHT.model})).status_code == 200
        await begun(app)
        arms = [choice for _ in range(20) for choice in (await launched(app)).models.values()]
        assert {each.model for each in arms} == {RIGHT.model, RIGHT.to}


@pytest.mark.parametrize("fails", [False, True])
async def test_a_trial_ends_and_says_why_when_the_deployment_gets_another_model(
    tmp_path: Path, *, fails: bool
):
    def write(*_: Any) -> None:
        if fails:
            raise StepFailedError("no haiku")

    with opened(tmp_path, model=RIGHT.model) as app:
        await begun(app)
        for _ in range(10):
            await ran(app, lambda *_: None)
        before = await told(app)
        assert before["state"] == "running"
    (later := tmp_path / "later").mkdir()
    with opened(later, app.flows, model=SMALLEST) as app:
        while (found := await told(app))["state"] == "running":
            await ran(app, write)
        assert (found["state"], found["verdict"]) == ("ended", "model_changed")
        assert RIGHT.model in found["hint"]
        assert SMALLEST in found["hint"]
        assert found["evidence"]["answers"]["in_use"] == before["evidence"]["answers"]["in_use"]
        assert (await launched(app)).models == {}
