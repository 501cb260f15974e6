"""POST /v1/usage: model calls that were made elsewhere are counted, priced, and told what they could save."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from functions import cost_report
from tests.e2e.apps import App

OPENAI = {"prompt_tokens": 1_000_000, "completion_tokens": 0}


def call(**changes: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "openai/gpt-4o-mini", "usage": OPENAI} | changes


async def sent(app: App, *calls: dict[str, Any], **who: Any) -> httpx.Response:
    async with app.client(cost_report, **who) as client:
        return await client.post("/v1/usage", json={"calls": list(calls)})


async def report(app: App, query: str) -> dict[str, Any]:
    async with app.client(cost_report) as client:
        return (await client.get(f"/v1/costs?{query}")).json()


async def test_a_call_is_priced_and_stands_in_the_report(app: App):
    told = (await sent(app, call(task_type="triage", crew="support"))).json()
    assert told["recorded"] == 1
    assert told["calls"][0]["usage"]["cost_nanodollars"] == 150_000_000  # $0.15 for a million
    assert "gpt-4o-mini" in told["calls"][0]["priced_by"]
    (row,) = (await report(app, "group_by=crew,task,subject,model"))["rows"]
    assert (row["crew"], row["task"], row["subject"]) == ("support", "triage", "ann")
    assert row["cost_nanodollars"] == 150_000_000


async def test_a_batch_sent_again_counts_once(app: App):
    await sent(app, call(), call(id="c2"))
    told = (await sent(app, call(), call(id="c3"))).json()
    assert (told["recorded"], told["total"]["calls"]) == (1, 1)
    assert [each["is_new"] for each in told["calls"]] == [False, True]
    assert (await report(app, ""))["total"]["calls"] == 3


async def test_a_request_sent_again_gets_the_answer_of_the_first(app: App):
    first, again = [(await sent(app, call(), call(id="c2"))).json() for _ in range(2)]
    assert again == first
    assert first["recorded"] == 2
    assert (await report(app, ""))["total"]["calls"] == 2


@pytest.mark.parametrize(
    "other",
    [
        {"usage": {"prompt_tokens": 7, "completion_tokens": 0}},
        {"model": "openai/gpt-4o"},
        {"task_type": "triage"},
        {"variant": "batch"},
        {"usage": None, "prompt_bytes": 1_000_000},
    ],
)
async def test_a_known_id_with_another_call_is_told_as_a_conflict_and_has_no_cost(
    app: App, other: dict[str, Any]
):
    await sent(app, call())
    before = await report(app, "")
    told = (await sent(app, call(**other))).json()
    assert told["recorded"] == told["total"]["calls"] == 0
    (one,) = told["calls"]
    assert (one["is_new"], one.keys()) == (False, {"id", "is_new", "conflict"})
    assert await report(app, "") == before


async def test_a_request_that_is_sent_again_after_a_change_of_prices_gets_its_first_answer(
    app: App,
):
    first = (await sent(app, call())).json()
    async with app.client(cost_report) as client:
        await client.put("/v1/prices/openai/gpt-4o-mini", json={"input": 90, "output": 90})
    again = (await sent(app, call())).json()
    assert again["calls"][0].pop("priced_by").startswith("the prices of when it was counted")
    del first["calls"][0]["priced_by"], first["calls"][0]["savings"], again["calls"][0]["savings"]
    assert again == first


async def test_a_call_of_which_not_all_is_explained_counts_as_the_dearest_and_is_no_sure_cost(
    app: App,
):
    (told,) = (await sent(app, call(usage={"total_tokens": 1_000}))).json()["calls"]
    usage = told["usage"]
    assert (usage["output_tokens"], usage["estimated_calls"]) == (1_000, 1)
    assert usage["lost_nanodollars"] == usage["cost_nanodollars"] > 0


async def test_a_call_that_used_nothing_costs_nothing_unless_a_bound_is_said(app: App):
    """Of a stream that was broken off, say; where its length is said, that counts."""
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    answer = await sent(app, call(usage=none), call(id="c2", usage=none, prompt_bytes=1_000))
    free, bounded = (each["usage"] for each in answer.json()["calls"])
    assert (free["cost_nanodollars"], free["lost_calls"]) == (0, 0)
    assert (bounded["cost_nanodollars"] > 0, bounded["lost_calls"]) == (True, 1)


async def test_a_whole_answer_of_a_model_is_told_from_its_usage(app: App):
    answer = await sent(app, call(usage={"id": "r1", "usage": {"prompt_tokens": 1}}))
    (error,) = answer.json()["errors"]
    assert (error["pointer"], "its own `usage`" in error["detail"]) == ("/calls/0/usage", True)


@pytest.mark.parametrize(("quality", "smaller"), [("low", 1), ("high", 1), ("critical", 0)])
async def test_a_cheaper_way_to_make_the_call_is_told_and_a_smaller_model_for_none_that_is_critical(
    app: App, quality: str, smaller: int
):
    asked = call(required_quality=quality, model="openai/gpt-4o")
    (told,) = (await sent(app, asked)).json()["calls"]
    assert told["savings"][0].keys() == {"variant", "saves_nanodollars"}
    models = [saving for saving in told["savings"] if "model" in saving]
    assert [each["model"] for each in models] == ["openai/gpt-4o-mini"] * smaller
    assert all(each["verified"] is False for each in models)


async def test_a_call_made_in_a_batch_has_its_price_and_nothing_left_to_save(app: App):
    (told,) = (await sent(app, call(variant="batch"))).json()["calls"]
    assert told["usage"]["cost_nanodollars"] == 75_000_000
    assert told["savings"] == []


@pytest.mark.parametrize(
    ("said", "given", "cost"),
    [
        ({"service_tier": "batch"}, {}, 9_000_000),
        ({"service_tier": "standard"}, {}, 18_000_000),
        ({"service_tier": "batch"}, {"variant": "standard"}, 18_000_000),
        ({"speed": "fast"}, {"model": "anthropic/claude-opus-5-5"}, 48_000_000),
        ({"speed": "fast"}, {"model": "anthropic/claude-opus-4-6"}, None),
    ],
)
async def test_how_a_call_was_made_is_read_from_its_usage_where_nobody_says(
    app: App, said: dict[str, str], given: dict[str, str], cost: int | None
):
    usage = {"input_tokens": 1_000, "output_tokens": 1_000} | said
    asked = call(**{"model": "anthropic/claude-sonnet-4-5", "usage": usage} | given)
    (told,) = (await sent(app, asked)).json()["calls"]
    assert told["usage"]["unpriced_calls"] == (cost is None)
    assert told["usage"]["cost_nanodollars"] == (cost or 0)


async def test_what_calls_spend_of_budgets_is_told(app: App):
    budget = {"scope": "subject", "name": "ann", "window": "day", "limit_usd": "0.2"}
    async with app.client(cost_report) as client:
        await client.put("/v1/budgets/team", json=budget)
        told = (await sent(app, call(crew="support"))).json()
        (shown,) = (await client.get("/v1/budgets/team")).json()["spent"]
    (alert,) = told["budget_alerts"]
    assert (alert["budget"], alert["percent"], alert["spent_nanodollars"]) == (
        "team",
        50,
        15 * 10**7,
    )
    assert (shown["name"], shown["spent_usd"], shown["alerted_percent"]) == ("ann", "0.15", 50)


async def test_a_call_of_an_unknown_model_is_unpriced_and_not_free(app: App):
    (told,) = (await sent(app, call(model="acme/secret-1"))).json()["calls"]
    assert (told["priced_by"], told["usage"]["unpriced_calls"]) == (None, 1)
    assert (await report(app, ""))["total"]["unpriced_calls"] == 1


async def test_a_call_of_unknown_usage_counts_at_its_bound_and_is_marked(app: App):
    (told,) = (await sent(app, call(usage=None, prompt_bytes=1_000, max_output_tokens=100))).json()[
        "calls"
    ]
    used = told["usage"]
    assert used["lost_calls"] == 1
    assert used["lost_nanodollars"] == used["cost_nanodollars"] > 1_000 * 150
    total = (await report(app, ""))["total"]
    assert (total["sure_nanodollars"], total["estimated_share"]) == (0, 1.0)


async def test_usage_is_read_as_each_provider_means_it(app: App):
    anthropic = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}
    gemini = {"promptTokenCount": 100, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}
    told = (
        await sent(
            app,
            call(id="a", model="anthropic/claude-sonnet-4-5", usage=anthropic),
            call(id="g", model="gemini/gemini-2.5-flash", usage=gemini),
        )
    ).json()
    tokens = [
        (one["usage"]["input_tokens"], one["usage"]["output_tokens"]) for one in told["calls"]
    ]
    assert tokens == [(100, 5), (100, 5)]
    assert told["total"]["cache_read_tokens"] == 90
    assert told["total"]["reasoning_tokens"] == 2


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


async def test_a_call_of_last_week_is_counted_on_its_day(app: App):
    await sent(app, call(at=ago(days=7)))
    day = ago(days=7)[:10]
    (row,) = (await report(app, f"from={day}&group_by=day"))["rows"]
    assert row["day"] == day


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"usage": None}, "/calls/0/usage"),
        ({"usage": {"prompt_tokens": -5, "completion_tokens": 1}}, "/calls/0/usage"),
        ({"usage": {"prompt_tokens": 10**15, "completion_tokens": 1}}, "/calls/0/usage"),
        ({"usage": {"tokens": "many"}}, "/calls/0/usage"),
        ({"at": "yesterday"}, "/calls/0/at"),
        ({"at": "2026-11-25T12:00:00"}, "/calls/0/at"),
        ({"at": "9999-12-31T23:59:59Z"}, "/calls/0/at"),
        ({"at": ago(days=40)}, "/calls/0/at"),
        ({"model": "x" * 1_000_000}, "/calls/0/model"),
        ({"model": ""}, "/calls/0/model"),
        ({"id": "a b"}, "/calls/0/id"),
        ({"prompt_bytes": -1}, "/calls/0/prompt_bytes"),
        ({"max_output_tokens": 10**12}, "/calls/0/max_output_tokens"),
        ({"required_quality": "some"}, "/calls/0/required_quality"),
        ({"currency": "EUR"}, "/calls/0/currency"),
        ({"crew": "a|b"}, "/calls/0/crew"),
    ],
)
async def test_what_cannot_be_counted_is_refused_whole(
    app: App, wrong: dict[str, Any], pointer: str
):
    answer = await sent(app, call() | wrong, call(id="c2"))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await report(app, ""))["total"]["calls"] == 0


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_has_one_to_a_thousand_calls(app: App, count: int):
    answer = await sent(app, *[call(id=f"c{n}") for n in range(count)])
    assert answer.status_code == 422


async def test_the_same_id_twice_in_a_request_is_a_mistake(app: App):
    answer = await sent(app, call(), call())
    assert answer.json()["errors"] == [
        {"pointer": "/calls/1/id", "detail": "is in this request twice"}
    ]


async def test_it_takes_a_scope_of_its_own(app: App):
    assert (await sent(app, call(), scopes=["costs:read"])).status_code == 403
