"""What the offline model pretends to cost counts where Crewline shows or limits money, and in no bill or advice."""

import csv

import httpx

from core.costs.prices import OFFLINE_MODEL
from functions import cost_report
from tests.e2e.apps import App
from tests.e2e.test_usage import OPENAI, call, sent

COST = 100_000_000  # of a million tokens


async def asked(app: App, path: str) -> httpx.Response:
    async with app.client(cost_report) as client:
        return await client.get(path)


async def test_dollars_of_a_demonstration_are_in_reports_and_budgets_and_in_no_bill_or_saving(
    app: App,
):
    budget = {"scope": "tenant", "window": "day", "limit_usd": "9"}
    async with app.client(cost_report) as client:
        assert (await client.put("/v1/budgets/all", json=budget)).status_code == 200
    await sent(app, call(model=OFFLINE_MODEL, usage=OPENAI))
    total = (await asked(app, "/v1/costs")).json()["total"]
    assert (total["cost_nanodollars"], total["demo_calls"]) == (COST, 1)
    table = csv.DictReader(
        (await asked(app, "/v1/costs?format=csv&group_by=model")).text.splitlines()
    )
    assert [(row["cost_usd"], row["demo_calls"]) for row in table] == [("0.1", "1")]
    (spent,) = (await asked(app, "/v1/budgets/all")).json()["spent"]
    assert spent["spent_usd"] == "0.1"
    assert len((await asked(app, "/v1/costs?format=focus")).text.splitlines()) == 1  # the head
    savings = (await asked(app, "/v1/costs/savings")).json()
    assert (savings["considered_nanodollars"], savings["left_out"]["demo_calls"]) == (0, 1)
