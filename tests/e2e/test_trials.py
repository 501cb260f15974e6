"""Trials over HTTP: begun, told and stopped, with flows that run meanwhile; and the models that do tasks."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.memory import MemoryTrials
from core.costs.model_choices import Choice
from core.costs.savings.recommendation import Kind, Target
from core.costs.trials import Arm
from core.crews.clock import NoLimit
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.trials import record_feedback
from core.flows import Flow, Status, events
from functions import cost_report, crew_launch
from functions._costs.trials import UNCHECKED
from tests.crew_folders import with_crew
from tests.e2e.apps import HAIKU, App, opened
from tests.e2e.feedback_parts import give
from tests.worker_parts import Scripted, a_worker

RIGHT = Target(Kind.RIGHT_SIZING, "haiku", "write", "poet", "openai/gpt-4o", "openai/gpt-4o-mini")
TRIAL = f"/v1/costs/savings/{RIGHT.id}/trial"
MODEL = "/v1/costs/models/haiku/write"
HALF = {"share": 0.5}


def trial_of(**changed: str) -> str:
    """The path of another right-sizing's trial."""
    names = {"kind": Kind.RIGHT_SIZING, "crew": "haiku", "task": "write", "agent": "poet"}
    models = {"model": "openai/gpt-4o", "to": "openai/gpt-4o-mini"}
    target = Target(**{**names, **models, **changed})
    return f"/v1/costs/savings/{target.id}/trial"


async def asked(app: App, method: str, path: str, body: Any = None, **who: Any) -> httpx.Response:
    async with app.client(cost_report, **who) as client:
        return await client.request(method, path, json=body)


async def used(app: App, model: str = RIGHT.model, **call: Any) -> None:
    """Record a call of the task."""
    made = {"id": f"{model}{len(call)}", "model": model, "crew": "haiku", "task_type": "write"}
    usage = {"prompt_tokens": 900, "completion_tokens": 20}
    made |= {"agent": "poet", "usage": usage, **call}
    answer = await asked(app, "POST", "/v1/usage", {"calls": [made]})
    assert answer.status_code == 200, answer.text


async def begun(app: App, **body: Any) -> dict[str, Any]:
    await used(app)
    answer = await asked(app, "POST", TRIAL, HALF | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def told(app: App, path: str = TRIAL) -> dict[str, Any]:
    return (await asked(app, "GET", path)).json()


async def launched(app: App) -> Flow:
    async with app.client(crew_launch) as client:
        answer = await client.post("/v1/flows", json={"crew": "haiku", "inputs": {"topic": "tea"}})
        return await app.flows.state("acme", answer.json()["id"])


def small_ones_fail(work: StepTask, _: Session) -> None:
    if work.choice is not None and work.choice.model == RIGHT.to:
        raise StepFailedError("no haiku")


def small_ones_stammer(work: StepTask, session: Session) -> None:
    if work.choice is not None and work.choice.model == RIGHT.to:
        session.post(events.custom("answer_refused", {"step": "write", "reason": "no"}))


async def ran(app: App, script: Any) -> Flow:
    """Launch a flow and run it to its end, by a worker of this deployment."""
    state, runner = await launched(app), Scripted(write=script)
    worker = a_worker(app.flows, runner, deployed_model=bootstrap.deployed_model())
    await worker.run_flow("acme", state.id, NoLimit())
    return await app.flows.state("acme", state.id)


async def test_a_trial_is_told_as_it_was_begun(app: App):
    made = await begun(app, share=0.25, margin=0.1, most_calls=500)
    arm = {"outcomes": 0, "mean": None}
    nothing = {"in_use": arm, "cheaper": arm, "difference": 0}
    assert made == {
        "id": RIGHT.id, "crew": "haiku", "task": "write", "model": "openai/gpt-4o",
        "cheaper": "openai/gpt-4o-mini", "share": 0.25, "margin": 0.1, "most_calls": 500,
        "judged_by": "people", "hint": UNCHECKED,
        "state": "running", "verdict": None, "started_ms": made["started_ms"], "ended_ms": None,
        "evidence": {"answers": nothing, "people": nothing, "of_worse": 1, "of_as_good": 1, "needed": 25},
    }  # fmt: skip
    assert await told(app) == made
    assert await told(app, "/v1/costs/trials") == {"trials": [made]}
    override = {"crew": "haiku", "task": "write", "model": None, "trial": RIGHT.id}
    assert await told(app, "/v1/costs/models") == {"models": [override]}


async def test_answers_judge_the_trial_of_a_task_that_checks_them(app: App, tmp_path: Path):
    checked = HAIKU.replace("agent: poet}", "agent: poet, output_schema: {type: object}}")
    with_crew(tmp_path, "haiku", checked)
    made = await begun(app)
    assert (made["judged_by"], made["hint"]) == ("answers", None)


async def test_a_cheaper_model_that_fails_is_stopped_and_later_flows_have_the_old_one(app: App):
    await begun(app)
    flows = [await ran(app, small_ones_fail)]
    while (found := await told(app))["state"] == "running":
        flows.append(await ran(app, small_ones_fail))
    failed = [flow for flow in flows if flow.head.status is Status.FAILED]
    assert (found["state"], found["verdict"]) == ("ended", "worse")
    assert found["evidence"]["answers"]["cheaper"] == {"outcomes": len(failed), "mean": 0}
    assert found["evidence"]["answers"]["difference"] == -1
    assert found["evidence"]["of_worse"] >= found["evidence"]["needed"]
    assert len(failed) <= 25
    later = [await ran(app, small_ones_fail) for _ in range(5)]
    assert {flow.head.status for flow in later} == {Status.SUCCEEDED}
    assert all(flow.models == {} for flow in later)


async def test_answers_that_were_refused_first_count_half(app: App):
    await begun(app)
    while (await told(app))["evidence"]["answers"]["cheaper"]["outcomes"] < 3:
        await ran(app, small_ones_stammer)
    seen = (await told(app))["evidence"]["answers"]
    assert (seen["cheaper"]["mean"], seen["in_use"]["mean"] or 1) == (0.5, 1)


@pytest.mark.parametrize(("thumb", "quality"), [("up", 1), ("down", 0)])
async def test_a_thumb_for_a_result_is_a_person_s_word_and_the_first_counts(
    app: App, thumb: str, quality: float
):
    await begun(app)
    state = await ran(app, lambda *_: None)
    for said in (thumb, thumb, "up"):
        answer = await give(app, {"flow": state.id, "thumb": said})
        assert answer.status_code == 202, answer.text
    people = (await told(app))["evidence"]["people"]
    arm = state.models["write"].arm
    assert people[arm] == {"outcomes": 1, "mean": quality}


async def test_what_people_think_of_results_counts_beside_the_answers(app: App):
    await begun(app)
    trials = MemoryTrials(app.flows)
    for _ in range(6):
        state = await ran(app, lambda *_: None)
        good = state.models["write"].arm is Arm.IN_USE
        for _ in range(2):
            await record_feedback(trials, "acme", state, good=good)
    people = (await told(app))["evidence"]["people"]
    assert people["in_use"]["outcomes"] + people["cheaper"]["outcomes"] == 6
    assert people["in_use"]["mean"] in (1, None)
    assert people["cheaper"]["mean"] in (0, None)


async def test_a_trial_that_is_stopped_has_no_verdict(app: App):
    await begun(app)
    for _ in range(2):
        answer = await asked(app, "DELETE", TRIAL)
        assert (answer.status_code, answer.json()["state"]) == (200, "stopped")
    assert (await launched(app)).models == {}
    again = await begun(app)
    assert again["state"] == "running"


async def test_a_model_can_be_chosen_for_a_task_but_not_while_a_trial_runs_there(app: App):
    await begun(app)
    refused = await asked(app, "PUT", MODEL, {"model": RIGHT.to})
    assert (refused.status_code, RIGHT.id in refused.json()["detail"]) == (409, True)
    await asked(app, "DELETE", TRIAL)
    answer = await asked(app, "PUT", MODEL, {"model": RIGHT.to})
    chosen = {"crew": "haiku", "task": "write", "model": RIGHT.to, "trial": None}
    assert (answer.status_code, answer.json()) == (200, chosen)
    assert await told(app, "/v1/costs/models") == {"models": [chosen]}
    assert (await launched(app)).models == {"write": Choice(RIGHT.to)}
    assert (await asked(app, "DELETE", MODEL)).status_code == 204
    assert (await launched(app)).models == {}


async def test_no_trial_is_made_of_a_task_whose_answers_are_critical(app: App, tmp_path: Path):
    critical = HAIKU.replace("agent: poet}", "agent: poet, required_quality: critical}")
    with_crew(tmp_path, "haiku", critical)
    answer = await asked(app, "POST", TRIAL, HALF)
    assert (answer.status_code, "critical" in answer.json()["detail"]) == (409, True)


async def test_no_trial_is_made_where_a_call_was_said_to_be_critical(app: App):
    await used(app)
    await used(app, "openai/gpt-4.1", required_quality="critical")
    answer = await asked(app, "POST", TRIAL, HALF)
    assert (answer.status_code, "critical" in answer.json()["detail"]) == (409, True)


async def test_no_trial_is_made_of_a_model_that_the_task_does_not_use(app: App):
    await used(app, "openai/gpt-4.1")
    answer = await asked(app, "POST", TRIAL, HALF)
    assert (answer.status_code, "made no call" in answer.json()["detail"]) == (404, True)


async def test_a_task_that_becomes_critical_leaves_the_trial(app: App, tmp_path: Path):
    await begun(app)
    critical = HAIKU.replace("agent: poet}", "agent: poet, required_quality: critical}")
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other", app.flows) as deployed:
        with_crew(tmp_path / "other", "haiku", critical)
        for _ in range(4):
            assert (await launched(deployed)).models == {}


async def test_another_tenant_sees_no_trial_and_is_in_none(app: App):
    await begun(app)
    assert (await asked(app, "GET", TRIAL, tenant="other")).status_code == 404
    assert (await asked(app, "DELETE", TRIAL, tenant="other")).status_code == 404
    assert (await asked(app, "GET", "/v1/costs/trials", tenant="other")).json() == {"trials": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        (TRIAL, {}, 422, "/share"),
        (TRIAL, {"share": 0}, 422, "/share"),
        (TRIAL, {"share": 0.6}, 422, "/share"),
        (TRIAL, {"share": "0.5"}, 422, "/share"),
        (TRIAL, HALF | {"margin": 0}, 422, "/margin"),
        (TRIAL, HALF | {"most_calls": 10**9}, 422, "/most_calls"),
        (TRIAL, HALF | {"model": "x"}, 422, "/model"),
        (TRIAL, [], 422, ""),
        (trial_of(to="openai/gpt-4-turbo"), HALF, 422, "/saving"),
        (trial_of(to="nobody/knows"), HALF, 422, "/saving"),
        (trial_of(model="nobody/knows"), HALF, 422, "/saving"),
        (trial_of(to="two words"), HALF, 422, "/saving"),
        (trial_of(crew="none"), HALF, 404, None),
        (trial_of(task="none"), HALF, 404, None),
        (trial_of(kind=Kind.OUTPUT_CAP), HALF, 409, None),
        ("/v1/costs/savings/x/trial", HALF, 404, None),
        (f"/v1/costs/savings/right_sizing.{'A' * 6000}/trial", HALF, 404, None),
    ],
)
async def test_what_is_no_trial_is_refused_in_words_and_begins_none(
    app: App, path: str, body: Any, status: int, pointer: str | None
):
    await used(app)
    await used(app, "nobody/knows")
    answer = await asked(app, "POST", path, body)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    if pointer is not None:
        assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert await told(app, "/v1/costs/trials") == {"trials": []}


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"model": "a b"}, {"model": "x" * 1_000_000}])
async def test_what_names_no_model_is_refused(app: App, body: Any):
    assert (await asked(app, "PUT", MODEL, body)).status_code in (413, 422)
    assert (
        await asked(app, "PUT", "/v1/costs/models/haiku/none", {"model": "m"})
    ).status_code == 404
    assert await told(app, "/v1/costs/models") == {"models": []}


@pytest.mark.parametrize(
    ("settings", "refused", "taken"),
    [
        ({"model": "openai/gpt-4o"}, "anthropic/claude-haiku-4-5", "gpt-4o-mini"),
        ({"model": "openai/gpt-4o"}, "ollama/llama3", "openai/gpt-4o-mini"),
        ({"models": ("anthropic/a",)}, "openai/gpt-4o-mini", "anthropic/a"),
    ],
)
async def test_only_models_that_the_deployment_lets_tenants_have_can_be_chosen_or_tried(
    tmp_path: Path, settings: dict[str, Any], refused: str, taken: str
):
    with opened(tmp_path, **settings) as app:
        await used(app)
        answer = await asked(app, "PUT", MODEL, {"model": refused})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/model")
        assert (await asked(app, "POST", trial_of(to=refused), HALF)).status_code == 422
        assert (await asked(app, "PUT", MODEL, {"model": taken})).status_code == 200


async def test_only_who_may_set_budgets_changes_what_does_a_task(app: App):
    reads = {"scopes": ["costs:read"]}
    for method, path in (("POST", TRIAL), ("DELETE", TRIAL), ("PUT", MODEL), ("DELETE", MODEL)):
        assert (await asked(app, method, path, {}, **reads)).status_code == 403
    assert (await asked(app, "GET", "/v1/costs/trials", **reads)).status_code == 200
