"""The page: from a token to a result, while the test does a worker's work."""

import asyncio
import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from tests.browser.conftest import Viewer
from tests.browser.network import PASS, STREAM, Network, answer
from tests.fixtures_ports import Flows

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
COLUMNS = [{"column": HOSTILE, "field": "street", "confidence": 0.5, "reason": "its name says it"}]
LEASE_MS = 60_000


async def launched(flows: Flows) -> str:
    """Return the one flow of the tenant, once there is one."""
    while True:
        for recent in await flows.log.recent(flows.tenant, 1):
            return recent.id
        await asyncio.sleep(0.05)


async def work(flows: Flows, flow: str) -> Claim:
    """Do what a worker does, up to the end of the first step."""
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    begun = events.step_started(step.id, 1)
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=LEASE_MS, events=begun
    )
    assert isinstance(claim, Claim)
    usage = Usage(calls=1, input_tokens=1200, output_tokens=34, cost_nanodollars=2_500_000)
    told = [
        *events.text_message("m1", HOSTILE),
        *events.tool_call("c1", "profile_csv", "{}"),
        *events.tool_result("c1", "25 columns"),
    ]
    await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(told))
    call = Call(flows.tenant, flow, step.id, 1, 1, "crewline/offline", "c", step.id, usage)
    await flows.calls.reserve(call)
    await flows.calls.settle(call, usage, events.model_call(step.id, call.model, usage))
    return claim


async def ask(flows: Flows, flow: str, review: str, draft: str) -> None:
    """Have a flow wait for a person, as a worker does."""
    state = await flows.ledger.state(flows.tenant, flow)
    waiting = {"review": review, "task": "map", "step": "map", "agent": "Writer", "output": draft}
    await flows.ledger.transition(
        flows.tenant,
        flow,
        Status.WAITING,
        status_epoch=state.status_epoch,
        events=events.custom("waiting", waiting),
        waiting=waiting,
    )


async def finish(flows: Flows, flow: str, output: Any = None) -> None:
    output = output or {"columns": COLUMNS}
    end = events.run_finished(flow, output)
    await flows.ledger.transition(
        flows.tenant, flow, Status.SUCCEEDED, status_epoch=0, events=end, output=output
    )


async def opened(viewer: Viewer, crew: str = "research_brief") -> Page:
    """Open the page, give it the token, and order a brief."""
    page = await viewer.context.new_page()
    await page.goto(viewer.net.url)
    await page.get_by_label("Token").fill(viewer.token)
    await page.get_by_label("Token").press("Tab")
    await page.get_by_label("Crew").select_option(crew)
    await page.get_by_label("question").fill("How many?")
    await page.get_by_label("notes").fill("Seven.")
    await page.get_by_role("button", name="Launch").click()
    return page


async def test_a_crew_is_launched_and_watched_to_its_result(viewer: Viewer, flows: Flows):
    page = await opened(viewer)
    flow = await launched(flows)
    await expect(page.locator("#phase")).to_have_text("live")
    await expect(page.locator("#detail")).to_have_text(re.compile(r"streaming · at [0-9a-f]{8}\.2"))
    await expect(page.locator("#status")).to_have_text("queued")
    await flows.ledger.announce_start(flows.tenant, flow, events.starting())
    await expect(page.locator("#status")).to_have_text("starting")
    await work(flows, flow)
    await expect(page.locator("#status")).to_have_text("running")
    await expect(page.locator("#steps li").first).to_contain_text("running")
    await expect(page.locator("#cost")).to_contain_text("$0.002500")
    await expect(page.locator("#tokens-in")).to_have_text("1,200")
    feed = page.get_by_role("log")
    for text in (
        "its worker starts",
        HOSTILE,
        "profile_csv {}",
        "25 columns",
        "crewline/offline: 1,200 in",
    ):
        await expect(feed).to_contain_text(text)
    await finish(flows, flow)
    await expect(page.locator("#status")).to_have_text("succeeded")
    await expect(page.locator("#phase")).to_have_text("ended")
    row = page.get_by_role("row").nth(1)
    await expect(row.get_by_role("cell")).to_have_text(
        [HOSTILE, "street", "0.50", "its name says it"]
    )
    await expect(page).to_have_title("Crewline")
    assert await page.locator("script:not([src])").count() == 0
    await page.reload()
    await expect(feed).to_contain_text("25 columns")
    await expect(page.locator("#status")).to_have_text("succeeded")


async def test_a_flow_that_is_watched_can_be_cancelled(viewer: Viewer, flows: Flows):
    page = await opened(viewer)
    flow = await launched(flows)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#status")).to_have_text("cancelled")
    await expect(page.locator("#error")).to_have_text("cancelled by request")
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert (await flows.ledger.state(flows.tenant, flow)).head.status is Status.CANCELLED


async def test_a_flow_that_waits_gets_its_answer_from_the_page(viewer: Viewer, flows: Flows):
    page = await opened(viewer)
    flow = await launched(flows)
    await work(flows, flow)
    await ask(flows, flow, "map.review.1", HOSTILE)
    await expect(page.locator("#draft")).to_have_text(HOSTILE)
    await page.get_by_role("button", name="Send back").click()
    await expect(page.locator("#review-problem")).to_contain_text("what should be different")
    await page.get_by_label("What should be different").fill("fewer words")
    await page.get_by_role("button", name="Send back").click()
    await expect(page.locator("#review")).to_be_hidden()
    feed = page.get_by_role("log")
    await expect(feed).to_contain_text("sent map back: fewer words")
    await ask(flows, flow, "map.review.2", "short")
    await expect(page.locator("#draft")).to_have_text("short")
    await page.get_by_role("button", name="Approve").click()
    await expect(feed).to_contain_text("approved map")
    results = (await flows.ledger.state(flows.tenant, flow)).results
    assert set(results) == {"map.review.1", "map.review.2"}


async def test_the_connections_state_is_shown(viewer: Viewer, net: Network, flows: Flows):
    page = await opened(viewer)
    flow = await launched(flows)
    await expect(page.locator("#phase")).to_have_text("live")
    net.fate = lambda request: (
        answer("503 Unavailable", "retry-after: 2") if request.kind == STREAM else PASS
    )
    net.hang_up()
    await expect(page.locator("#phase")).to_have_text("reconnecting")
    await expect(page.locator("#detail")).to_have_text(
        re.compile(r"in \d\.\d s · streaming · from [0-9a-f]{8}\.2")
    )
    net.fate = lambda _: PASS
    await finish(flows, flow)
    await expect(page.locator("#phase")).to_have_text("ended")


DISSENT = [{"agent": "Treasurer", "answer": "the losing one"}]
OUTPUT = {"answer": "the chosen one", "agreement": 0.667, "rounds": 1, "dissent": DISSENT}


async def test_a_result_is_shown_with_all_of_its_fields(viewer: Viewer, flows: Flows):
    page = await opened(viewer)
    flow = await launched(flows)
    await finish(flows, flow, OUTPUT)
    result = page.locator("#output")
    names = result.locator("> dl > dt")
    await expect(names).to_have_text(["answer", "agreement", "rounds", "dissent"])
    for text in ("the chosen one", "0.67", "1"):
        await expect(result.get_by_text(text, exact=True)).to_be_visible()
    await expect(result.get_by_role("row").nth(1)).to_contain_text("the losing one")


async def test_a_links_token_does_not_replace_ones_own(viewer: Viewer):
    page = await viewer.context.new_page()
    await page.goto(f"{viewer.net.url}/#token={viewer.token}")
    await expect(page.get_by_label("Token")).to_have_value(viewer.token)
    await page.goto(f"{viewer.net.url}/#token=another")
    await expect(page.locator("#problem")).to_contain_text("another token")
    await expect(page.get_by_label("Token")).to_have_value(viewer.token)
    assert await page.evaluate("sessionStorage.token") == viewer.token
    assert "#" not in page.url


async def test_a_token_that_was_refused_makes_room_for_a_links(viewer: Viewer):
    page = await viewer.context.new_page()
    await page.goto(f"{viewer.net.url}/#token=worn-out")
    await expect(page.locator("#problem")).to_contain_text("token")
    await page.goto(f"{viewer.net.url}/#token={viewer.token}")
    await expect(page.get_by_label("Token")).to_have_value(viewer.token)
    await expect(page.get_by_label("Crew")).to_be_enabled()


async def test_a_crew_that_cannot_be_launched_is_named_with_the_reason(
    viewer: Viewer, net: Network
):
    broken = {
        "name": "wordy",
        "file": "crews/wordy/crew.yaml",
        "line": 7,
        "error": "/x: is unknown",
    }
    body = json.dumps({"crews": [], "broken": [broken]}).encode()
    crews = answer("200 OK", "content-type: application/json", body=body)
    net.fate = lambda request: crews if request.target == "/v1/crews" else PASS
    page = await viewer.context.new_page()
    await page.goto(f"{net.url}/#token={viewer.token}")
    told = page.get_by_label("What cannot be launched")
    await expect(told).to_have_text(
        "wordy cannot be launched. crews/wordy/crew.yaml:7: /x: is unknown"
    )


async def test_budgets_are_shown_with_what_is_spent_of_them(viewer: Viewer, net: Network):
    spent = [{"window": "2026-11", "name": "haiku", "spent_usd": "1.2", "held_usd": "0.05"}]
    briefs = {"id": "briefs", "window": "month", "limit_usd": "50", "hard": True, "spent": spent}
    idle = {"id": "all", "window": "day", "limit_usd": "9", "hard": False, "spent": []}
    body = json.dumps({"time_zone": "UTC", "budgets": [briefs, idle]}).encode()
    told = answer("200 OK", "content-type: application/json", body=body)
    net.fate = lambda request: told if request.target == "/v1/budgets" else PASS
    page = await viewer.context.new_page()
    await page.goto(f"{net.url}/#token={viewer.token}")
    lines = page.get_by_role("list", name="Budgets").get_by_role("listitem")
    await expect(lines).to_have_text(
        [
            "briefs: haiku $1.2 of $50 this month · $0.05 held",
            "all $0 of $9 today · only tells",
        ]
    )


async def test_a_flows_link_without_a_token_says_what_is_missing(viewer: Viewer):
    page = await viewer.context.new_page()
    await page.goto(f"{viewer.net.url}/#fl_1")
    await expect(page.locator("#empty")).to_contain_text("Paste a token")


async def test_a_wrong_token_is_said_to_be_wrong(viewer: Viewer):
    page = await viewer.context.new_page()
    await page.goto(f"{viewer.net.url}/#token=wrong")
    await expect(page.locator("#problem")).to_contain_text("token")
    assert "#" not in page.url
    await expect(page.get_by_role("button", name="Launch")).to_be_disabled()
