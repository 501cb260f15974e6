"""launch, cancel, resume and upload: what they reject, and when."""

from typing import Any

import pytest

from core.flows import Status, events
from tests.browser.conftest import Tab, Viewer
from tests.browser.network import PASS, RESET, STREAM, Network, answer
from tests.browser.stories import Story
from tests.fixtures_ports import Flows

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTLED = """async ([name, options, extra]) => {
  const crewline = await import("/crewline.js");
  window.retries = [];
  const more = (0, eval)(`(${extra})`);
  const call = crewline[name]({ ...options, ...more });
  const late = new Promise((resolve) => setTimeout(resolve, 5000, { late: true }));
  return Promise.race([call.then((value) => ({ value }), ({ name, message, status }) =>
    ({ name, message, status })), late]);
}"""
LAUNCH = {"crew": "nobody", "inputs": {}}
MISTAKES = {
    "a token that cannot be one": "{ token: () => undefined.token }",
    "inputs that are no JSON": "{ inputs: { self: 1n } }",
    "an address that is none": "{ url: 'http://' }",
    "a header that cannot be sent": "{ key: 'é\\u4e2d' }",
}


async def settled(tab: Tab, name: str, options: dict[str, Any], more: str = "{}") -> dict[str, Any]:
    """Return how a call of the client ends, or that it has not in five seconds."""
    return await tab.page.evaluate(SETTLED, [name, options, more])


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_of_the_caller_rejects_at_once(viewer: Viewer, net: Network, mistake: str):
    tab = await viewer.tab()
    before = len(net.requests)
    ended = await settled(tab, "launch", LAUNCH | {"token": tab.token}, MISTAKES[mistake])
    assert ended["name"] in ("TypeError", "SyntaxError")
    assert len(net.requests) == before


async def test_what_is_wrong_with_each_input_stands_in_the_message(viewer: Viewer):
    tab = await viewer.tab()
    options = {"crew": "research_brief", "inputs": {"question": "Why?"}, "token": tab.token}
    ended = await settled(tab, "launch", options)
    assert ended["message"].splitlines()[1:] == ["/inputs: required: notes"]


async def test_a_flow_that_is_not_there_is_told_in_the_servers_words(viewer: Viewer):
    tab = await viewer.tab()
    ended = await settled(tab, "cancel", {"url": "/v1/flows/f9", "token": tab.token})
    assert ended["status"] == 404
    assert not ended["message"].startswith("HTTP")


@pytest.mark.parametrize("name", ["cancel", "resume"])
async def test_an_address_that_is_missing_is_said_and_nothing_is_sent(
    viewer: Viewer, net: Network, name: str
):
    tab = await viewer.tab()
    before = len(net.requests)
    ended = await settled(tab, name, {"token": tab.token})
    assert "url is missing" in ended["message"]
    assert len(net.requests) == before


async def test_a_token_may_be_a_text(viewer: Viewer):
    tab = await viewer.tab()
    ended = await settled(tab, "launch", LAUNCH | {"token": tab.token})
    assert ended["status"] == 422
    assert "no such crew" in ended["message"]


async def test_a_network_that_is_away_is_told_at_each_retry(viewer: Viewer, net: Network):
    tab = await viewer.tab()
    net.fate = lambda _: RESET
    options = LAUNCH | {"token": tab.token}
    onretry = "{ onRetry: (error, ms) => window.retries.push([error.message, ms]) }"
    assert await settled(tab, "launch", options, onretry) == {"late": True}
    retries = await tab.page.evaluate("window.retries")
    assert retries
    assert all(message and ms > 0 for message, ms in retries)


async def test_a_flow_that_waits_is_answered_and_then_cancelled(
    viewer: Viewer, flows: Flows, story: Story
):
    tab = await viewer.tab()
    state = await flows.ledger.state(flows.tenant, "f1")
    waiting = {"review": "r1", "task": "t", "step": "t", "agent": "a", "output": "draft"}
    await flows.ledger.transition(
        flows.tenant,
        "f1",
        Status.WAITING,
        status_epoch=state.status_epoch,
        events=events.custom("waiting", waiting),
        waiting=waiting,
    )
    flow = {"url": "/v1/flows/f1", "token": tab.token}
    review = {"review": "r1", "approve": False}
    silent = await settled(tab, "resume", flow | review)
    assert silent["status"] == 422
    answered = await settled(tab, "resume", flow | review | {"feedback": "shorter"})
    assert answered["value"]["status"] == "running"
    cancelled = await settled(tab, "cancel", flow)
    assert cancelled["value"]["status"] == "cancelled"
    assert (await story.state())["status"] == "cancelled"


async def test_a_flow_that_a_lagging_store_does_not_show_yet_is_asked_for_again(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    asked = []

    def hidden_at_first(request: Any) -> Any:
        asked.append(request.kind)
        return PASS if len(asked) > 2 else answer("404 Not Found", "content-length: 2", body=b"{}")

    net.fate = hidden_at_first
    await tab.watch()
    await story.tell_all(3, 0)
    await tab.until_done()
    assert "error" not in await tab.seen()


async def test_where_the_server_holds_too_many_streams_it_is_polled(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    full = answer("429 Too Many Requests", "retry-after: 1", "content-length: 2", body=b"{}")
    net.fate = lambda request: full if request.kind == STREAM else PASS
    await tab.watch()
    await story.tell_all(3, 0)
    await tab.until_done()
    ids, _ = await story.log()
    assert (await tab.seen())["ids"] == ids
    assert len(net.asked(STREAM)) == 1
