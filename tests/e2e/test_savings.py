"""GET /v1/costs/savings: what could be changed so that the same calls cost less."""

from datetime import UTC, datetime, timedelta

import pytest

from core.adapters.memory import MemoryCallLedger
from core.costs.facts import Facts
from core.costs.savings.recommendation import read_id
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from functions import cost_report
from tests.e2e.apps import App, begin

URL = "/v1/costs/savings"
USED = Usage(4, 40_000, 2_000, 120_000_000)
FACTS: Facts = {
    "cacheable": 40_000, "stable": 8_000, "stable_5m": 6_000, "prefix_5m": 30_000, "hits_5m": 3,
    "repeats": 1, "repeats_cost": 30_000_000, "tries": 4, "out_n_9": 4,
}  # fmt: skip


@pytest.fixture
async def spent(app: App) -> App:
    """Four calls of Claude, of which one asked what had been answered."""
    claim = await begin(app.flows)
    call = Call(
        "acme", "f1", claim.step, claim.epoch, 1, "anthropic/claude-sonnet-4-5", "haiku", "one", USED,
        agent="poet", subject="ann",
    )  # fmt: skip
    calls = MemoryCallLedger(app.flows)
    await calls.reserve(call)
    await calls.settle(call, USED, [], FACTS)
    return app


async def test_what_can_be_saved_is_told_with_what_to_change(spent: App):
    async with spent.client(cost_report) as client:
        answer = (await client.get(URL)).json()
    told = {each["kind"]: each for each in answer["recommendations"]}
    assert told.keys() == {"duplicate_calls", "prompt_caching", "right_sizing"}
    assert told["duplicate_calls"]["saved_nanodollars"] == 30_000_000
    caching = told["prompt_caching"]
    assert caching["where"]["task"] == "one"
    assert "cache_control" in caching["change"]
    assert caching["verified"]
    assert read_id(told["right_sizing"]["id"]).to == "anthropic/claude-haiku-4-5"
    assert not told["right_sizing"]["verified"]
    saved = sum(each["saved_nanodollars"] for each in told.values())
    assert answer["total"]["saved_nanodollars"] == saved < answer["cost_nanodollars"]
    assert answer["considered_nanodollars"] == answer["cost_nanodollars"] == 120_000_000


async def test_a_tenants_own_prices_decide_what_is_saved(spent: App):
    price = {"input": "3", "output": "15", "cache_read": "3", "cache_write_5m": "3"}
    async with spent.client(cost_report) as client:
        put = await client.put("/v1/prices/anthropic/claude-sonnet-4-5", json=price)
        assert put.status_code < 300
        answer = (await client.get(URL)).json()
    assert "prompt_caching" not in {each["kind"] for each in answer["recommendations"]}


async def test_savings_that_are_known_are_not_sent_again(spent: App):
    async with spent.client(cost_report) as client:
        tag = (await client.get(URL)).headers["etag"]
        again = await client.get(URL, headers={"if-none-match": tag})
        other = await client.get(f"{URL}?from=2026-01-01&to=2026-01-01", headers={"if-none-match": tag})  # fmt: skip
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    assert other.json()["recommendations"] == []


async def test_nobody_sees_the_savings_of_another_tenant_or_without_the_scope(spent: App):
    async with spent.client(cost_report, tenant="other") as client:
        assert (await client.get(URL)).json()["recommendations"] == []
    async with spent.client(cost_report, scopes=["flows:read"]) as client:
        assert (await client.get(URL)).status_code == 403


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=yesterday", "/query/from"),
        ("from=2026-01-02&to=2026-01-01", "/query/to"),
        (f"from={datetime.now(UTC).date() - timedelta(days=399)}&to={datetime.now(UTC).date() + timedelta(days=9)}", "/query/to"),
        ("group_by=day", "/query/group_by"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused(spent: App, query: str, pointer: str):
    async with spent.client(cost_report) as client:
        answer = await client.get(f"{URL}?{query}")
    assert answer.status_code in (400, 422)
    assert pointer.removeprefix("/query/") in answer.text
