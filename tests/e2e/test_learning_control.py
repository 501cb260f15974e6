"""GET and PUT /v1/learning, DELETE /v1/feedback: what is told of tasks, gone back to, and forgotten."""

import pytest

from functions import feedback
from tests.e2e.apps import App
from tests.e2e.feedback_parts import BILL, ask, best, give, said


@pytest.mark.parametrize("whose", ["", "&subject=ann"])
async def test_what_was_forgotten_can_be_said_again_under_its_id(app: App, whose: str):
    await give(app, said("billing", id="a"))
    async with app.client(feedback) as client:
        assert (await client.delete(f"/v1/feedback?task=route{whose}")).is_success
    assert await best(app) is None
    assert (await give(app, said("billing", id="a"))).json()["accepted"] == 1
    assert await best(app) == "billing"


async def test_what_a_subject_said_is_forgotten_at_once_where_no_model_holds_it(app: App):
    await give(app, said("billing"))
    assert await best(app) == "billing"
    async with app.client(feedback) as client:
        answer = await client.delete("/v1/feedback?task=route&subject=ann")
        assert answer.status_code == 202
        assert await best(app) is None
        assert (await client.delete("/v1/feedback?task=a/b")).status_code == 422
        assert (await client.delete("/v1/feedback?task=route&subject=a b")).status_code == 422


@pytest.mark.parametrize("whose", ["", "&subject=ann"])
async def test_to_forget_a_task_of_which_nothing_was_said_is_404_and_makes_none(
    app: App, whose: str
):
    async with app.client(feedback) as client:
        answer = await client.delete(f"/v1/feedback?task=rout{whose}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "nothing was ever said of a task rout"
        assert (await client.get("/v1/learning")).json()["tasks"] == []


async def test_all_that_is_known_of_a_task_is_forgotten(app: App):
    await give(app, said("billing"))
    await give(app, said("kept") | {"task": "other"})
    async with app.client(feedback) as client:
        for _ in range(2):
            assert (await client.delete("/v1/feedback?task=route")).status_code == 204
    assert await best(app) is None
    assert await best(app, task="other") == "kept"
    await give(app, said("anew", id="later"))
    assert await best(app) == "anew"


async def test_all_tasks_of_a_tenant_are_forgotten_and_nobody_elses(app: App):
    for task in ("route", "other"):
        await give(app, said("billing") | {"task": task})
        await give(app, said("billing") | {"task": task}, tenant="theirs")
    async with app.client(feedback) as client:
        assert (await client.delete("/v1/feedback?task=*&subject=ann")).status_code == 202
        assert [await best(app, task=task) for task in ("route", "other")] == [None, None]
        await give(app, said("billing"))
        assert (await client.delete("/v1/feedback?task=*")).status_code == 204
        assert (await client.delete("/v1/feedback")).status_code == 422
    assert await best(app) is None
    async with app.client(feedback, tenant="theirs") as client:
        body = {"task": "route", "context": BILL}
        assert (await client.post("/v1/recommendations", json=body)).json()["actions"]


async def test_the_tasks_of_a_tenant_are_told_and_no_others(app: App):
    for task in ("route", "other"):
        await give(app, said("billing") | {"task": task})
    async with app.client(feedback) as client:
        told = (await client.get("/v1/learning")).json()
        one = (await client.get("/v1/learning?task=route")).json()
    assert [each["task"] for each in told["tasks"]] == ["other", "route"]
    assert one["tasks"] == [
        {
            "task": "route",
            "degraded": None,
            "version": 0,
            "sequence": 0,
            "feedback": 0,
            "waiting": 1,
            "versions": [],
            "evaluations": [],
        }
    ]
    async with app.client(feedback, tenant="other") as client:
        assert (await client.get("/v1/learning")).json()["tasks"] == []


async def test_there_is_no_going_back_to_a_model_that_is_not_kept(app: App):
    async with app.client(feedback) as client:
        answer = await client.put("/v1/learning/route", json={"version": 3})
    assert answer.status_code == 404
    assert "no model 3" in answer.json()["detail"]


async def test_a_store_that_has_another_thing_in_the_pointers_place_degrades_answers(app: App):
    await give(app, said("billing"))
    app.blobs.put("acme", "learning/route/pointer", b"x", "")
    found = await ask(app)
    assert found["degraded"] == "pointer is refused: it has no seal"
    assert found["actions"][0]["action"] == "billing"
    async with app.client(feedback) as client:
        (told,) = (await client.get("/v1/learning")).json()["tasks"]
        assert told == {"task": "route", "degraded": "pointer is refused: it has no seal"}
        refused = await client.put("/v1/learning/route", json={"version": 3})
        assert refused.status_code == 503
        assert (await client.delete("/v1/feedback?task=route")).status_code == 204
    assert await best(app) is None
