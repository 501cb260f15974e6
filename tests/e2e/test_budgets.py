"""GET, PUT and DELETE /v1/budgets: what a tenant may spend."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.memory import MemoryCallLedger
from core.costs.budget import Verdict
from core.costs.prices import OFFLINE_MODEL
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.flows import Status
from functions import cost_report
from tests.e2e.apps import App, begin, opened

MONTHLY = {"scope": "crew", "name": "haiku", "window": "month", "limit_usd": "12.50"}


async def put(app: App, budget: str = "team", body: Any = MONTHLY, **who: Any) -> httpx.Response:
    async with app.client(cost_report, **who) as client:
        return await client.put(f"/v1/budgets/{budget}", json=body)


async def shown(app: App, **who: Any) -> dict[str, Any]:
    async with app.client(cost_report, **who) as client:
        return (await client.get("/v1/budgets")).json()


async def test_a_budget_that_was_set_is_told_with_what_is_spent_of_it(app: App):
    answer = await put(app)
    assert answer.status_code == 200
    assert answer.json() == MONTHLY | {"id": "team", "limit_usd": "12.5", "hard": True} | {
        "alerts": [50, 80, 100],
        "webhook": None,
        "spent": [],
        "more": False,
    }
    claim = await begin(app.flows)
    bound = Usage(1, 10, 10, 3 * 10**9)
    call = Call("acme", "f1", claim.step, claim.epoch, 1, "m", "haiku", "one", bound)
    calls = MemoryCallLedger(app.flows)
    assert await calls.reserve(call) is None
    (budget,) = (await shown(app))["budgets"]
    (state,) = budget["spent"]
    assert (state["name"], state["spent_usd"], state["held_usd"]) == ("haiku", "0", "3")
    await calls.settle(call, Usage(1, 10, 1, 10**9), [])
    (state,) = (await shown(app))["budgets"][0]["spent"]
    assert (state["spent_usd"], state["held_usd"]) == ("1", "0")


async def test_a_budget_that_is_lowered_keeps_what_was_spent_and_refuses_more(app: App):
    await put(app, body=MONTHLY | {"limit_usd": "0.5"})
    claim = await begin(app.flows)
    bound = Usage(1, 10, 10, 10**9)
    call = Call("acme", "f1", claim.step, claim.epoch, 1, "m", "haiku", "one", bound)
    refusal = await MemoryCallLedger(app.flows).reserve(call)
    assert refusal is not None
    assert (refusal.verdict, refusal.budget) == (Verdict.EXHAUSTED, "team")


async def test_a_budget_can_be_asked_for_and_removed(app: App):
    await put(app)
    async with app.client(cost_report) as client:
        assert (await client.get("/v1/budgets/team")).json()["id"] == "team"
        assert (await client.get("/v1/budgets/team?name=ann")).json()["spent"] == []
        assert (await client.get("/v1/budgets/team?nom=ann")).status_code == 422
        assert (await client.delete("/v1/budgets/team")).status_code == 204
        assert (await client.delete("/v1/budgets/team")).status_code == 404
        assert (await client.get("/v1/budgets/team")).json()["detail"] == "no such budget"


async def test_a_tenants_days_begin_in_its_time_zone(app: App):
    async with app.client(cost_report) as client:
        assert (await client.get("/v1/budgets")).json()["time_zone"] == "UTC"
        answer = await client.put("/v1/budgets", json={"time_zone": "Europe/Berlin"})
        assert answer.json()["time_zone"] == "Europe/Berlin"
        for name in ("Mars/Base", "localtime", "Factory", "posixrules", "right/UTC", "posix/UTC"):
            wrong = await client.put("/v1/budgets", json={"time_zone": name})
            assert wrong.json()["errors"][0]["pointer"] == "/time_zone"
    assert (await shown(app))["time_zone"] == "Europe/Berlin"


class Woken:
    """A queue of wake-ups that nobody hears."""

    def __init__(self) -> None:
        self.flows = list[tuple[str, str]]()

    async def enqueue(self, tenant: str, flow: str) -> None:
        self.flows.append((tenant, flow))


PRICE = {"input": 1, "output": 2}
CHANGES: dict[tuple[str, str], tuple[str, Any]] = {  # of each route that changes what may be spent
    ("PUT", "/v1/budgets/{budget}"): ("/v1/budgets/team", MONTHLY | {"limit_usd": "20"}),
    ("DELETE", "/v1/budgets/{budget}"): ("/v1/budgets/team", None),
    ("PUT", "/v1/budgets"): ("/v1/budgets", {"time_zone": "Europe/Berlin"}),
    ("PUT", "/v1/prices/{model:path}"): ("/v1/prices/ollama/mine", PRICE),
    ("DELETE", "/v1/prices/{model:path}"): ("/v1/prices/ollama/theirs", None),
}


def test_each_route_that_changes_what_may_be_spent_is_tried_below():
    money = [each for each in cost_report.routes if each.path.startswith(("/v1/budgets", "/v1/prices"))]  # fmt: skip
    routes = {(method, each.path) for each in money for method in each.methods or ()}
    assert {route for route in routes if route[0] not in ("GET", "HEAD")} == CHANGES.keys()


@pytest.mark.parametrize("route", CHANGES)
async def test_workers_are_woken_for_what_waits_for_money(app: App, route: tuple[str, str]):
    (method, _), (path, body) = route, CHANGES[route]
    await put(app)
    async with app.client(cost_report) as client:
        await client.put("/v1/prices/ollama/theirs", json=PRICE)
    await begin(app.flows)
    waiting = {"reason": "budget", "budget": "team", "until_ms": None}
    await app.flows.transition(
        "acme", "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    woken = Woken()
    async with app.client(cost_report) as client:
        with bootstrap.replace(wake_queue=woken):
            answer = await client.request(method, path, json=body)
    assert answer.is_success
    assert woken.flows == [("acme", "f1")]


async def test_another_tenant_has_budgets_of_its_own(app: App):
    await put(app)
    assert (await shown(app, tenant="rival"))["budgets"] == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"limit_usd": "lots"}, "/limit_usd"),
        ({"limit_usd": "-1"}, "/limit_usd"),
        ({"limit_usd": "NaN"}, "/limit_usd"),
        ({"limit_usd": "1e400"}, "/limit_usd"),
        ({"limit_usd": "1e999999999"}, "/limit_usd"),
        ({"limit_usd": "1e-999999999"}, "/limit_usd"),
        ({"limit_usd": "1_000"}, "/limit_usd"),
        ({"limit_usd": " 5 "}, "/limit_usd"),
        ({"limit_usd": "\u0665"}, "/limit_usd"),
        ({"limit_usd": "9000001"}, "/limit_usd"),
        ({"limit_usd": "0.0000000001"}, "/limit_usd"),
        ({"limit_usd": 12.5}, "/limit_usd"),
        ({"currency": "EUR"}, "/currency"),
        ({"scope": "team"}, "/scope"),
        ({"window": "week"}, "/window"),
        ({"scope": "flow"}, "/window"),
        ({"scope": "tenant"}, "/name"),
        ({"name": "x" * 1_000}, "/name"),
        ({"alerts": [50, 101]}, "/alerts/1"),
        ({"hard": "yes"}, "/hard"),
    ],
)
async def test_what_is_no_budget_is_refused_by_field(app: App, wrong: dict[str, Any], pointer: str):
    answer = await put(app, body=MONTHLY | wrong)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await shown(app))["budgets"] == []


@pytest.mark.parametrize("budget", ["Team", "a b", "-", "~zone", "x" * 65])
async def test_an_id_that_is_none_is_refused(app: App, budget: str):
    assert (await put(app, budget)).status_code == 422


async def test_a_tenant_has_fifty_budgets_at_most(app: App):
    for number in range(50):
        assert (await put(app, f"b{number}")).status_code == 200
    assert (await put(app, "one-more")).status_code == 409
    assert (await put(app, "b7", MONTHLY | {"limit_usd": "1"})).status_code == 200


async def test_who_reads_costs_sets_no_budgets(app: App):
    assert (await put(app, scopes=["costs:read", "costs:write"])).status_code == 403


@pytest.mark.parametrize(
    ("scope", "wrong", "right"), [("crew", "haikus", "haiku"), ("agent", "poets", "poet")]
)
async def test_a_crew_or_agent_that_nobody_knows_is_refused_with_those_that_are(
    app: App, scope: str, wrong: str, right: str
):
    answer = await put(app, body=MONTHLY | {"scope": scope, "name": wrong})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/name")
    assert f"did you mean {right}?" in error["detail"]
    assert (await shown(app))["budgets"] == []
    assert (await put(app, body=MONTHLY | {"scope": scope, "name": right})).status_code == 200


async def test_a_crew_whose_calls_were_counted_is_known(app: App):
    body = MONTHLY | {"name": "support"}
    assert (await put(app, body=body)).status_code == 422
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    call = {"id": "c1", "model": "openai/gpt-4o-mini", "usage": usage, "crew": "support"}
    async with app.client(cost_report) as client:
        await client.post("/v1/usage", json={"calls": [call]})
    assert (await put(app, body=body)).status_code == 200
    assert (await put(app, body=body, tenant="rival")).status_code == 422


OF_MODEL = MONTHLY | {"scope": "model"}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("gpt-4o-min", "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mni", "openai/gpt-4o-mini"),
        ("anthropic/claude-sonet-4-5", "anthropic/claude-sonnet-4-5"),
        ("opnai/gpt-4o", "openai/gpt-4o"),
    ],
)
async def test_a_model_that_nobody_knows_is_refused_with_the_one_that_may_be_meant(
    app: App, wrong: str, right: str
):
    answer = await put(app, body=OF_MODEL | {"name": wrong})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/name")
    assert f"did you mean {right}" in error["detail"]
    assert (await shown(app))["budgets"] == []
    assert (await put(app, body=OF_MODEL | {"name": right})).status_code == 200


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4o-2024-08-06", "ollama/of-ours", OFFLINE_MODEL])
async def test_a_model_that_was_never_used_has_a_budget_where_its_price_is_known(
    app: App, name: str
):
    assert (await put(app, body=OF_MODEL | {"name": name})).status_code == 200


async def test_a_model_without_a_price_has_a_budget_once_it_has_one_or_was_used(app: App):
    ours, theirs = OF_MODEL | {"name": "azure/our-own"}, OF_MODEL | {"name": "gateway/llama"}
    for body in (ours, theirs):
        answer = await put(app, body=body)
        assert "PUT /v1/prices" in answer.json()["errors"][0]["detail"]
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    async with app.client(cost_report) as client:
        await client.put("/v1/prices/azure/our-own", json={"input": 1, "output": 2})
        call = {"id": "c1", "model": "gateway/llama", "usage": usage}
        await client.post("/v1/usage", json={"calls": [call]})
    assert (await put(app, "ours", ours)).status_code == 200
    assert (await put(app, "theirs", theirs)).status_code == 200
    assert (await put(app, "ours", ours, tenant="rival")).status_code == 422


async def test_a_budget_is_changed_although_nobody_knows_its_name_any_more(
    app: App, tmp_path: Path
):
    assert (await put(app)).status_code == 200
    shutil.rmtree(tmp_path / "haiku")
    assert (await put(app, body=MONTHLY | {"limit_usd": "20"})).json()["limit_usd"] == "20"
    assert (await put(app, "another")).status_code == 422


async def test_the_models_of_the_deployment_are_known_without_a_price(tmp_path: Path):
    with opened(tmp_path, model="in-house/a", models=("in-house/b",)) as app:
        for name in ("in-house/a", "in-house/b"):
            assert (await put(app, body=OF_MODEL | {"name": name})).status_code == 200


HOOK = "https://hooks.example.com/budgets"


async def test_a_webhook_goes_to_a_host_that_the_deployment_allows_the_tenant(tmp_path: Path):
    hosts = {"acme": ("hooks.example.com",)}
    with opened(tmp_path, webhook_hosts=hosts, webhook_secrets=("s" * 32,)) as app:
        assert (await put(app, body=MONTHLY | {"webhook": HOOK})).json()["webhook"] == HOOK
        assert (await shown(app))["budgets"][0]["webhook"] == HOOK
        for who, url in (
            ("rival", HOOK),
            ("acme", "https://elsewhere.example.com/"),
            ("acme", "http://169.254.169.254/"),
            ("acme", "nonsense"),
        ):
            answer = await put(app, body=MONTHLY | {"webhook": url}, tenant=who)
            assert answer.status_code == 422
            assert [error["pointer"] for error in answer.json()["errors"]] == ["/webhook"]


async def test_without_a_list_of_hosts_no_budget_has_a_webhook(app: App):
    answer = await put(app, body=MONTHLY | {"webhook": HOOK})
    assert answer.status_code == 422
    assert "CREWLINE_WEBHOOK_HOSTS" in answer.json()["errors"][0]["detail"]
