"""A subject may be an e-mail address or an issuer's name such as `auth0|abc`, wherever it stands."""

import csv
import time
from typing import Any

import httpx
import pytest

from core.identity import SCOPES, mint
from functions import cost_report, crew_launch, feedback, flow_status
from tests.e2e.apps import App
from tests.e2e.test_usage import call
from tests.hostile_subjects import HOSTILE


async def asked(
    app: App, function: Any, method: str, path: str, who: str, body: Any = None
) -> httpx.Response:
    token = mint(app.keys, "acme", who, SCOPES, ttl_seconds=600, now=int(time.time()))
    async with app.client(function) as client:
        client.headers["authorization"] = f"Bearer {token}"
        return await client.request(method, path, json=body)


@pytest.mark.parametrize("name", ["auth0|abc", "ann@example.com"])
async def test_what_a_subject_launches_and_spends_is_told_under_its_name(app: App, name: str):
    made = {"crew": "haiku", "inputs": {"topic": "tea"}}
    flow = (await asked(app, crew_launch, "POST", "/v1/flows", name, made)).json()["id"]
    state = (await asked(app, flow_status, "GET", f"/v1/flows/{flow}", name)).json()
    assert state["launched_by"] == name
    budget = {"scope": "subject", "name": name, "window": "day", "limit_usd": "9"}
    assert (await asked(app, cost_report, "PUT", "/v1/budgets/b", name, budget)).status_code == 200
    own = {"calls": [call()]}
    assert (await asked(app, cost_report, "POST", "/v1/usage", name, own)).status_code == 200
    (spent,) = (await asked(app, cost_report, "GET", "/v1/budgets/b", name)).json()["spent"]
    assert (spent["name"], spent["spent_usd"]) == (name, "0.15")


async def test_calls_made_elsewhere_are_told_by_any_subject_page_by_page_and_as_a_table(app: App):
    calls = [call(id=f"c{at}", subject=name) for at, name in enumerate(HOSTILE)]
    answer = await asked(app, cost_report, "POST", "/v1/usage", "ann", {"calls": calls})
    assert answer.status_code == 200, answer.text
    path, found = "/v1/costs?group_by=subject&limit=2", list[str]()
    while path:
        page = (await asked(app, cost_report, "GET", path, "ann")).json()
        found += [row["subject"] for row in page["rows"]]
        path = page["next"]
    assert found == sorted(HOSTILE)
    table = await asked(app, cost_report, "GET", "/v1/costs?group_by=subject&format=csv", "ann")
    told = [row["subject"] for row in csv.DictReader(table.text.splitlines())]
    assert [name.removeprefix("'") for name in told] == sorted(
        HOSTILE
    )  # ' keeps it from being a formula


@pytest.mark.parametrize("subject", ["*", "-", "~", "", "an n", "x" * 129, "é"])
async def test_what_is_no_subject_is_refused_in_words_in_a_body_and_in_a_query(
    app: App, subject: str
):
    body = {"calls": [call(subject=subject)]}
    answer = await asked(app, cost_report, "POST", "/v1/usage", "ann", body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/calls/0/subject")
    assert "visible ASCII" in error["detail"]
    path = str(httpx.URL("/v1/feedback", params={"task": "route", "subject": subject}))
    answer = await asked(app, feedback, "DELETE", path, "ann")
    assert (answer.status_code, "visible ASCII" in answer.text) == (422, True)


async def test_who_forgets_without_a_task_is_told_of_the_word_for_all_tasks(app: App):
    answer = await asked(app, feedback, "DELETE", "/v1/feedback?subject=ann", "ann")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/query/task")
    assert error["detail"] == "is missing; * stands for all tasks"


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_one_subject_said_can_be_forgotten(app: App, name: str):
    said = {"task": "route", "context": {"message": "hi"}, "action": "pay", "outcome": "right"}
    for who in (name, "ann"):
        answer = await asked(app, feedback, "POST", "/v1/feedback", who, said)
        assert answer.status_code == 202, answer.text
    path = str(httpx.URL("/v1/feedback", params={"task": "route", "subject": name}))
    answer = await asked(app, feedback, "DELETE", path, "ann")
    assert (answer.status_code, answer.json()["subject"]) == (202, name)
