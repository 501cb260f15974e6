"""GET, PUT and DELETE /v1/prices: what a model costs a tenant, where that is not the list's price."""

from typing import Any

import httpx
import pytest

from functions import cost_report
from tests.e2e.apps import App
from tests.e2e.test_usage import call, sent

OURS = {"input": "0.10", "output": "0.40"}
MODEL = "openai/gpt-4o-mini"


async def put(app: App, model: str = MODEL, body: Any = OURS, **who: Any) -> httpx.Response:
    async with app.client(cost_report, **who) as client:
        return await client.put(f"/v1/prices/{model}", json=body)


async def cost_of(app: App, **changes: Any) -> int:
    (told,) = (await sent(app, call(**changes))).json()["calls"]
    return told["usage"]["cost_nanodollars"]


async def test_a_call_costs_what_was_agreed_on_from_then_on(app: App):
    assert await cost_of(app) == 150_000_000
    answer = await put(app, "gpt-4o-mini")
    assert answer.json() == {"prices": [{"model": MODEL, "from": None, **OURS}]}
    assert await cost_of(app, id="c2") == 100_000_000
    assert await cost_of(app, id="c3", variant="batch") == 50_000_000  # half, as in the list
    async with app.client(cost_report) as client:
        assert (await client.get("/v1/prices")).json() == answer.json()
        assert (await client.delete("/v1/prices/gpt-4o-mini")).status_code == 204
    assert await cost_of(app, id="c4") == 150_000_000


async def test_a_price_holds_for_calls_of_its_day_and_later(app: App):
    await put(app, body=OURS | {"from": "2000-01-01"})
    answer = await put(app, body=OURS | {"from": "2999-01-01", "input": 9})
    assert [price["from"] for price in answer.json()["prices"]] == ["2000-01-01", "2999-01-01"]
    assert await cost_of(app) == 100_000_000
    async with app.client(cost_report) as client:
        removed = await client.delete("/v1/prices/gpt-4o-mini?from=2000-01-01")
        again = await client.delete("/v1/prices/gpt-4o-mini?from=2000-01-01")
        always = await client.delete("/v1/prices/gpt-4o-mini?from=")
    assert [removed.status_code, again.status_code, always.status_code] == [204, 404, 404]
    assert await cost_of(app, id="c2") == 150_000_000


async def test_prices_are_a_tenants_own(app: App):
    await put(app)
    async with app.client(cost_report, tenant="rival") as client:
        assert (await client.get("/v1/prices")).json() == {"prices": []}
        assert (await client.get(f"/v1/prices/{MODEL}")).status_code == 404
        assert (await client.delete(f"/v1/prices/{MODEL}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({}, "/input"),
        ({"input": "two"}, "/input"),
        (OURS | {"inputs": 1}, "/inputs"),
        (OURS | {"from": "tomorrow"}, "/from"),
        (OURS | {"from": 3}, "/from"),
        (OURS | {"currency": "EUR"}, "/currency"),
        (OURS | {"batch": 7}, "/batch"),
        ({"same_as": "openai/gpt-4o", "input": 1}, ""),
        ({"same_as": "nonesuch"}, "/same_as"),  # its calls would be unpriced for ever
    ],
)
async def test_what_is_no_price_is_refused_with_the_field(app: App, body: Any, pointer: str):
    answer = await put(app, body=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_member_of_somebody_elses_price_list_is_answered_with_those_there_are(app: App):
    answer = await put(app, body={"input_cost_per_token": "0.1"})
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/input_cost_per_token"
    assert "input, output, cache_read" in error["detail"]
    assert "from" in error["detail"]


async def test_a_price_that_is_not_there_is_said_to_be_the_one_that_is_missing(app: App):
    async with app.client(cost_report) as client:
        for answer in (await client.get("/v1/prices/x"), await client.delete("/v1/prices/x")):
            assert (answer.status_code, "price" in answer.json()["detail"]) == (404, True)
        answer = await client.delete("/v1/budgets/none")
        assert (answer.status_code, "budget" in answer.json()["detail"]) == (404, True)


async def test_a_name_that_is_too_long_is_no_model(app: App):
    answer = await put(app, "x" * 1_000)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/model")


async def test_setting_a_price_takes_the_scope_of_budgets(app: App):
    assert (await put(app, scopes=["costs:read"])).status_code == 403
    async with app.client(cost_report, scopes=["budgets:write"]) as client:
        assert (await client.delete(f"/v1/prices/{MODEL}")).status_code == 404
        assert (await client.get("/v1/prices")).status_code == 403
