"""POST /v1/feedback and /v1/recommendations: said once, it counts in the next answer."""

import time
from typing import Any

import pytest

from functions import feedback
from tests.e2e.apps import App
from tests.e2e.feedback_parts import BILL, LOST, ask, best, give, pointers, said
from tests.pace import cpu_bound


async def test_before_any_feedback_an_answer_abstains(app: App):
    assert await ask(app) == {
        "task": "route",
        "model": {"version": 0, "feedback": 0},
        "degraded": None,
        "abstain": True,
        "actions": [],
    }


async def test_what_was_said_is_in_the_next_answer_with_the_pattern_that_speaks_for_it(app: App):
    answer = await give(app, said("billing", id="f1"))
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "feedback": [{"id": "f1", "task": "route", "is_new": True}],
    }
    found = await ask(app)
    (action,) = found["actions"]
    assert (found["model"]["feedback"], action["action"]) == (1, "billing")
    assert [one["source"] for one in action["patterns"]] == ["user"]
    assert 0 <= action["confidence"] <= 1


async def test_feedback_sent_again_counts_once(app: App):
    batch = {"feedback": [said("billing", id="a"), said("cards", LOST, id="b")]}
    assert (await give(app, batch)).json()["accepted"] == 2
    again = (await give(app, batch)).json()
    assert (again["accepted"], [one["is_new"] for one in again["feedback"]]) == (0, [False, False])
    assert (await ask(app))["model"]["feedback"] == 2


async def test_an_id_that_comes_again_for_something_else_is_a_conflict_and_is_told(app: App):
    await give(app, said("billing", id="a"))
    batch = {
        "feedback": [said("billing", id="a"), said("refunds", id="a"), said("refunds", id="b")]
    }
    answer = (await give(app, batch)).json()
    assert (answer["accepted"], [one["is_new"] for one in answer["feedback"]]) == (
        1,
        [False, False, True],
    )
    assert ["conflict" in one for one in answer["feedback"]] == [False, True, False]
    assert "another feedback" in answer["feedback"][1]["conflict"]


async def test_an_id_is_its_subjects_and_shuts_out_nobody_else(app: App):
    await give(app, said("spam", id="order-1"), subject="bob")
    assert (await give(app, said("billing", id="order-1"))).json()["accepted"] == 1
    assert await best(app) == "billing"


async def test_a_correction_counts_in_the_place_of_the_action(app: App):
    await give(app, said("billing", correction="refunds"))
    assert await best(app) == "refunds"


async def test_an_action_that_was_wrong_is_taken_back_by_who_said_it(app: App):
    await give(app, said("billing"))
    await give(app, said("billing", outcome="wrong"))
    found = await ask(app)
    assert found["model"]["feedback"] == 2
    assert all(one["patterns"] == [] for one in found["actions"])


async def test_of_candidates_only_those_are_answered_and_no_more_than_k(app: App):
    for number in range(5):
        await give(app, said(f"a{number}", {"message": f"word{number}"}))
    found = await ask(app, {"message": "word3"}, candidates=["a1", "unknown", "a2"], k=2)
    assert {one["action"] for one in found["actions"]} < {"a1", "a2", "unknown"}
    assert len(found["actions"]) == 2
    sure = [one["confidence"] for one in (await ask(app))["actions"]]
    assert sure == sorted(sure, reverse=True)


async def test_an_answer_that_is_less_sure_than_was_asked_abstains(app: App):
    await give(app, said("billing"))
    assert (await ask(app, precision=0.99))["abstain"]
    for number in range(60):
        await give(app, said("billing", BILL | {"n": number}))
    assert not (await ask(app, precision=0.5))["abstain"]


async def test_tenants_and_tasks_learn_apart(app: App):
    await give(app, said("billing"))
    await give(app, said("theirs"), tenant="other")
    await give(app, said("other task") | {"task": "other"})
    assert await best(app) == "billing"
    assert await best(app, task="other") == "other task"


@pytest.mark.parametrize("as_batch", [True, False])
@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"context": {"a": "x" * 70_000}}, None),
        ({"context": [1]}, "/context"),
        ({"action": ""}, "/action"),
        ({"action": "x" * 257}, "/action"),
        ({"action": "two\nlines"}, "/action"),
        ({"confidence": 1.5}, "/confidence"),
        ({"confidence": "1"}, "/confidence"),
        ({"task": "../other"}, "/task"),
        ({"outcome": "maybe"}, "/outcome"),
        ({"source": "root"}, "/source"),
        ({"subject": "bob"}, "/subject"),
        ({"at": "yesterday"}, "/at"),
        ({"at": "2099-01-01T00:00:00Z"}, "/at"),
        ({"correction": "b", "outcome": "right"}, "/correction"),
    ],
)
async def test_what_cannot_be_kept_is_refused_with_its_place_and_nothing_of_it_is_kept(
    app: App, change: dict[str, Any], pointer: str | None, as_batch: bool
):
    wrong = said("billing") | change
    answer = await give(app, {"feedback": [said("fine"), wrong]} if as_batch else wrong)
    if pointer is None:
        assert answer.status_code in (413, 422)
    else:
        assert ("/feedback/1" if as_batch else "") + pointer in await pointers(answer)
    assert await best(app) is None


async def test_a_batch_of_one_is_told_its_place_as_well(app: App):
    answer = await give(app, {"feedback": [said("billing", at="yesterday")]})
    assert "/feedback/0/at" in await pointers(answer)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


async def test_a_context_may_have_32_levels_and_no_more(app: App):
    assert (await give(app, said("a", deep(32)))).status_code == 202
    answer = await give(app, said("a", deep(33)))
    assert "32 levels" in next(iter((await pointers(answer)).values()))
    async with app.client(feedback) as client:
        question = {"task": "route", "context": deep(33)}
        assert (await client.post("/v1/recommendations", json=question)).status_code == 422


@pytest.mark.parametrize("route", ["/v1/feedback", "/v1/recommendations"])
@pytest.mark.parametrize(
    "body",
    [
        '{"task":"t","action":"a","context":{"a":NaN}}',
        '{"task":"t","action":"a","context":{"a":1e999}}',
        '{"task":"t","action":"a","context":{1:2}}',
        '{"task":"t","action":"a","context":{"a":1,"a":2}}',
        '{"task":"t","action":"a","context":' + '{"a":' * 500 + "1" + "}" * 501,
    ],
)
async def test_what_is_no_json_of_one_meaning_is_refused(app: App, route: str, body: str):
    async with app.client(feedback) as client:
        headers = {"content-type": "application/json"}
        assert (await client.post(route, content=body, headers=headers)).status_code == 400


async def test_the_largest_batch_is_looked_at_beside_the_event_loop(app: App):
    many = [said("pay", {"a": [number] * 186}) for number in range(500)]
    await give(app, said("pay"))
    tries = list[float]()
    for _ in range(3):
        began = time.thread_time()
        assert (await give(app, {"feedback": many})).status_code == 202
        tries.append(time.thread_time() - began)
    assert min(tries) < cpu_bound(0.15)  # of the loop's thread; to look at it takes as much again


async def test_a_batch_has_500_at_most(app: App):
    batch = [said("a", {"n": number}) for number in range(501)]
    assert "/feedback" in await pointers(await give(app, {"feedback": batch}))
    assert (await give(app, {"feedback": batch[:500]})).json()["accepted"] == 500
    assert "/feedback" in await pointers(await give(app, {"feedback": []}))
