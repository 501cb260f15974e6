"""The events of a flow as JSON, page by page, for whoever would rather poll."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.crews.ledger import StepWrite
from core.flows import Head, events
from core.flows.log import PAGE_CHARACTERS
from functions import flow_events
from tests.e2e.apps import App, begin, end, opened, tell
from tests.e2e.test_long_poll import Counting, meanwhile

JSON = {"accept": "application/json"}


async def page(app: App, after: str | None = None, **headers: str) -> httpx.Response:
    query = {} if after is None else {"after": after}
    async with app.client(flow_events) as client:
        return await client.get("/v1/flows/f1/events", params=query, headers=JSON | headers)


async def test_all_that_happened_comes_in_order_with_the_cursor_after_it(app: App):
    await begin(app.flows)
    head = await end(app.flows)
    answer = await page(app)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    log = await app.flows.entries("acme", "f1", 0, 100)
    assert answer.json() == {
        "events": [json.loads(entry.json) for entry in log],
        "cursor": head.cursor(),
        "status": "succeeded",
        "more": False,
    }


@pytest.mark.parametrize("form", ["{number}", "{cursor}"])
async def test_only_what_comes_after_is_told(app: App, form: str):
    await begin(app.flows)
    head = await app.flows.head("acme", "f1")
    answer = await page(app, form.format(number=3, cursor=head.cursor(3)))
    assert [event["type"] for event in answer.json()["events"]] == ["STEP_STARTED"]
    assert answer.json()["cursor"] == head.cursor(4)
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("after", ["0", ""])
async def test_nought_is_the_beginning(app: App, after: str):
    await begin(app.flows)
    assert len((await page(app, after)).json()["events"]) == 4


@pytest.mark.parametrize("after", ["-1", "00000000.1", "x", "01", "9" * 99])
async def test_a_cursor_of_no_use_gets_the_state_and_the_cursor_after_it(app: App, after: str):
    await begin(app.flows)
    state = await app.flows.snapshot("acme", "f1")
    answer = await page(app, after.format(incarnation=state.head.incarnation))
    assert answer.json() == {
        "events": [],
        "snapshot": state.public(),
        "cursor": state.head.cursor(),
        "status": "running",
        "more": False,
    }


@pytest.mark.parametrize("after", ["9", "{incarnation}.9"])
async def test_a_cursor_ahead_of_the_log_is_never_sent_back(app: App, after: str):
    await begin(app.flows)
    incarnation = (await app.flows.head("acme", "f1")).incarnation
    answer = await page(app, after.format(incarnation=incarnation))
    nothing = {"events": [], "cursor": f"{incarnation}.9", "status": "running", "more": False}
    assert answer.json() == nothing


class Trimmed(MemoryFlows):
    async def entries(self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False):
        return [
            e
            for e in await super().entries(tenant, flow, after, limit, fresh=fresh)
            if e.number > 2
        ]


async def test_what_was_trimmed_is_made_up_for_by_the_state(tmp_path: Path):
    with opened(tmp_path, Trimmed()) as app:
        await begin(app.flows)
        assert "snapshot" in (await page(app, "1")).json()
        assert "snapshot" not in (await page(app, "2")).json()


@pytest.mark.parametrize("after", ["deadbeef.3", "null", "undefined"])
async def test_after_the_state_of_an_ended_flow_comes_its_final_event(app: App, after: str):
    await begin(app.flows)
    head = await end(app.flows)
    first = (await page(app, after)).json()
    assert (first["snapshot"]["status"], first["more"]) == ("succeeded", True)
    second = (await page(app, first["cursor"])).json()
    assert [event["type"] for event in second["events"]] == ["RUN_FINISHED"]
    assert (second["cursor"], second["more"]) == (head.cursor(), False)


async def test_a_long_log_comes_in_pages(app: App):
    claim = await begin(app.flows)
    for seq in range(1, 1200):
        await tell(app.flows, claim, seq)
    head = await end(app.flows)
    pages, after = list[dict[str, Any]](), "0"
    while not pages or pages[-1]["more"]:
        pages.append((await page(app, after)).json())
        after = pages[-1]["cursor"]
    assert [len(told["events"]) for told in pages] == [500, 500, 205]
    assert after == head.cursor()
    values = [event.get("value") for told in pages for event in told["events"]]
    assert [value for value in values if value] == list(range(1, 1200))


async def test_pages_are_bounded_in_bytes_but_never_empty(app: App):
    claim = await begin(app.flows)
    for seq in range(1, 4):
        said = events.custom("x", "y" * (PAGE_CHARACTERS - 100))
        await app.flows.emit(claim, seq, 30_000, StepWrite(said))
    after, lengths = "4", list[int]()
    for _ in range(3):
        told = (await page(app, after)).json()
        lengths.append(len(told["events"]))
        after = told["cursor"]
    assert lengths == [1, 1, 1]
    assert not told["more"]


async def test_at_the_end_of_a_flow_there_is_nothing_more_to_ask_for(app: App):
    await begin(app.flows)
    head = await end(app.flows)
    answer = await page(app, head.cursor(), prefer="wait=2")
    assert answer.json()["events"] == []
    assert answer.json()["status"] == "succeeded"
    assert "retry-after" not in answer.headers


async def test_who_is_up_to_date_costs_one_read_and_no_subscription(tmp_path: Path):
    with opened(tmp_path, flows := Counting()) as app:
        await begin(flows)
        cursor = (await flows.head("acme", "f1")).cursor()
        flows.reads.clear()
        answer = await page(app, cursor)
    assert answer.json()["cursor"] == cursor
    assert flows.reads == ["head"]


async def test_with_a_wait_the_next_event_is_told_when_it_happens(app: App):
    claim = await begin(app.flows)
    before = time.monotonic()
    answer, _ = await asyncio.gather(
        page(app, "4", prefer="wait=2"), meanwhile(lambda: tell(app.flows, claim, 7))
    )
    assert 0.1 <= time.monotonic() - before < 1
    assert [event["value"] for event in answer.json()["events"]] == [7]
    assert answer.headers["preference-applied"] == "wait=2"


async def test_the_end_comes_with_the_status_it_leaves(app: App):
    await begin(app.flows)
    answer, _ = await asyncio.gather(
        page(app, "4", prefer="wait=2"), meanwhile(lambda: end(app.flows))
    )
    assert answer.json()["events"][-1]["type"] == "RUN_FINISHED"
    assert answer.json()["status"] == "succeeded"
    assert "retry-after" not in answer.headers


async def test_when_nothing_happens_the_page_is_empty_and_the_cursor_stays(app: App):
    await begin(app.flows)
    cursor = (await app.flows.head("acme", "f1")).cursor()
    before = time.monotonic()
    answer = await page(app, cursor, prefer="wait=1")
    assert 0.9 < time.monotonic() - before < 1.5
    assert answer.json() == {"events": [], "cursor": cursor, "status": "running", "more": False}
    assert app.flows.subscribers("acme", "f1") == 0


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("*/*", "", "text/event-stream"),
        ("*/*", "?after=0", "application/json"),
        ("text/event-stream", "?after=0", "text/event-stream"),
        ("application/json", "", "application/json"),
        ("application/json, text/plain, */*", "", "application/json"),
        ("application/json, text/event-stream", "", "application/json"),
        ("application/json;q=0.5, text/event-stream", "", "text/event-stream"),
        ("application/json;q=0", "", "text/event-stream"),
        ("", "", "text/event-stream"),
    ],
)
async def test_the_client_chooses_between_pages_and_a_stream(
    app: App, accept: str, query: str, kind: str
):
    await begin(app.flows)
    await end(app.flows)
    async with app.client(flow_events) as client:
        answer = await client.get(f"/v1/flows/f1/events{query}", headers={"accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind


class HeadBehind(MemoryFlows):
    """Tells an old head, as a replica does that is behind the one which showed the log."""

    behind: Head | None = None

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        newest = await super().head(tenant, flow, fresh=fresh)
        return newest if fresh or self.behind is None else self.behind


async def test_a_page_with_the_final_event_says_that_the_flow_has_ended(tmp_path: Path):
    flows = HeadBehind()
    with opened(tmp_path, flows) as app:
        await begin(flows)
        flows.behind = await flows.head("acme", "f1")
        await end(flows)
        answer = await page(app, "2")
    assert answer.json()["events"][-1]["type"] == "RUN_FINISHED"
    assert answer.json()["status"] == "succeeded"
    assert "retry-after" not in answer.headers
