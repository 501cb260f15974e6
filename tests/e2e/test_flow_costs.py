"""GET /v1/costs?group_by=flow: what each flow cost, a page at a time."""

import csv
import io
import re
import time
from typing import Any

import httpx
import pytest

from core.costs.usage import Usage
from functions import cost_report
from tests.contract.test_flow_costs import spent
from tests.e2e.apps import App
from tests.fixtures_ports import in_memory


@pytest.fixture
async def app_that_spent(app: App) -> App:
    flows = in_memory(app.flows, "acme")
    for number in range(3):
        await spent(flows, f"f{number}", number, launched_by="ann")
    return app


async def asked(app: App, url: str) -> httpx.Response:
    async with app.client(cost_report) as client:
        return await client.get(url)


async def test_flows_are_told_newest_first_until_no_page_is_left(app_that_spent: App):
    url, pages = "/v1/costs?group_by=flow&limit=2", list[dict[str, Any]]()
    while url:
        pages.append((await asked(app_that_spent, url)).json())
        url = pages[-1]["next"]
    rows = [row for page in pages for row in page["rows"]]
    assert [(row["flow"], row["calls"]) for row in rows] == [("f2", 2), ("f1", 1), ("f0", 0)]
    assert [page["page_total"]["calls"] for page in pages] == [3, 0]
    assert rows[0]["subject"] == "ann"
    assert rows[0]["launched"].startswith(time.strftime("%Y-", time.gmtime()))


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_the_next_page_is_in_the_header_too(app_that_spent: App, form: str):
    url, found = f"/v1/costs?group_by=flow&limit=1&format={form}", list[str]()
    while url:
        answer = await asked(app_that_spent, url)
        found += re.findall(r"\bf\d\b", answer.text)
        url = answer.links.get("next", {}).get("url")
    assert found == ["f2", "f1", "f0"]


async def test_flows_of_other_days_are_not_told(app_that_spent: App):
    answer = await asked(app_that_spent, "/v1/costs?group_by=flow&from=2026-01-01&to=2026-01-02")
    assert (answer.json()["rows"], answer.json()["next"]) == ([], None)


async def test_they_are_a_table_too(app_that_spent: App):
    answer = await asked(app_that_spent, "/v1/costs?group_by=flow&format=csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["flow"], line["calls"]) for line in lines] == [
        ("f2", "2"),
        ("f1", "1"),
        ("f0", "0"),
    ]
    assert set(Usage().public()) < lines[0].keys()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("group_by=flow,crew", "/query/group_by"),
        ("group_by=crew&before=5", "/query/before"),
        ("group_by=flow&limit=201", "/query/limit"),
        ("group_by=flow&before=x", "/query/before"),
    ],
)
async def test_what_cannot_be_asked_is_refused(app: App, query: str, pointer: str):
    answer = await asked(app, f"/v1/costs?{query}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
