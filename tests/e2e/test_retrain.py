"""Retraining by schedule: what was said becomes a model, which answers, is told of, and can be gone back from."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.crews.clock import NoLimit
from core.learning import following
from core.learning.feedback import Feedback
from core.learning.serving import Learners
from functions import feedback, retrain
from tests.e2e.apps import App
from tests.unit.learning.test_learner import stream


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feedback does not wait for more, and each answer asks for the pointer."""
    monkeypatch.setattr(retrain, "DELAY_MS", 0)
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.0)


async def run(**changes: Any) -> dict[str, int]:
    clock = NoLimit()
    for name, value in changes.items():
        setattr(clock, name, value)
    return await retrain.retrain(bootstrap.feedback_log(), bootstrap.retrainer(clock), clock)


async def say(app: App, many: int, seed: int = 0, task: str = "route") -> None:
    given = [
        {"id": f"{seed}-{n}", "task": task, "context": context, "action": action}
        for n, (context, action) in enumerate(stream(many, seed))
    ]
    async with app.client(feedback) as client:
        answer = await client.post("/v1/feedback", json={"feedback": given})
        assert answer.json()["accepted"] == many


async def ask(client: httpx.AsyncClient) -> dict[str, Any]:
    body = {"task": "route", "context": {"task": "route", "message": "bill invoice money"}}
    return (await client.post("/v1/recommendations", json=body)).json()


async def test_a_model_answers_is_told_of_and_can_be_gone_back_from(app: App):
    async with app.client(feedback) as client:
        versions = list[int]()
        for seed in range(2):
            await say(app, 45, seed)
            assert await run() == {"published": 1}
            found = await ask(client)
            assert (found["actions"][0]["action"], found["degraded"]) == ("pay", None)
            versions.append(found["model"]["version"])
        (told,) = (await client.get("/v1/learning?task=route")).json()["tasks"]
        assert [one["version"] for one in told["versions"]] == versions[::-1]
        assert [one["verdict"] for one in told["evaluations"]] == ["published", "published"]
        assert told["evaluations"][1]["accuracy"] > 0.7
        assert {"calibration_error", "coverage_at_95", "accuracy_of_current"} < set(
            told["evaluations"][0]
        )
        back = await client.put("/v1/learning/route", json={"version": versions[0]})
        assert (back.status_code, back.json()["version"]) == (200, versions[0])
        found = await ask(client)
        assert (found["model"]["version"], found["model"]["feedback"]) == (versions[0], 90)


async def test_a_model_that_is_refused_is_told_of_by_answers_and_by_what_is_told_of_its_task(
    app: App,
):
    await say(app, 45)
    await run()
    async with app.client(feedback) as client:
        (told,) = (await client.get("/v1/learning?task=route")).json()["tasks"]
        assert told["degraded"] is None
        version = told["version"]
        app.blobs.put("acme", f"learning/route/models/0/{version}", b"x", "")
        why = f"model 0/{version} is refused: it has no seal"
        begun = Learners(bootstrap.model_store(), bootstrap.feedback_log())
        with bootstrap.replace(learners=begun):  # as another process has it
            (listed,) = (await client.get("/v1/learning")).json()["tasks"]
            assert listed["degraded"] is None  # nobody has asked for an answer there yet
            (told,) = (await client.get("/v1/learning?task=route")).json()["tasks"]
            assert (told["degraded"], told["version"]) == (why, version)
            assert (await ask(client))["degraded"] == why
            (listed,) = (await client.get("/v1/learning")).json()["tasks"]
            assert listed["degraded"] == why
            await say(app, 45, 1)
            assert await run() == {"published": 1}
            (told,) = (await client.get("/v1/learning?task=route")).json()["tasks"]
            assert told["degraded"] is None


async def test_each_task_is_retrained_once_and_one_that_fails_holds_up_no_other(app: App):
    for task in ("broken", "route", "other"):
        await say(app, 12, task=task)
    app.blobs.put("acme", "learning/broken/pointer", b"x", "")
    assert await run() == {"failed": 1, "published": 2}
    assert await run() == {}


def test_who_asks_the_command_for_help_retrains_nothing(tmp_path: Path):
    command = [sys.executable, "-m", "infra.retrain", "--help"]
    environ = os.environ | {"CREWLINE_DATA": str(tmp_path)}
    ran = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout.split()[0]) == (0, "usage:"), ran.stderr


async def test_without_time_nothing_is_begun(app: App):
    await say(app, 12)
    assert await run(seconds_left=lambda: 10.0) == {}
    assert await run() == {"published": 1}


async def test_nobody_wakes_it_over_http_where_qstash_is_not_in_use(app: App):
    with bootstrap.replace(wake_verifier=None):
        async with app.client(retrain) as client:
            assert (await client.post("/v1/retrain")).status_code == 404


async def test_what_a_subject_said_is_forgotten_by_the_next_retraining(app: App):
    await say(app, 20)
    theirs = Feedback("x", {"message": "zebra"}, "zoo", "bob")
    await bootstrap.feedback_log().add("acme", "route", [theirs])
    await run()
    async with app.client(feedback) as client:
        await client.delete("/v1/feedback?task=route&subject=bob")
        assert (await run())["forgotten"] == 1
        body = {"task": "route", "context": {"message": "zebra"}, "k": 100}
        found = (await client.post("/v1/recommendations", json=body)).json()
    assert found["actions"]
    assert "zoo" not in [one["action"] for one in found["actions"]]
