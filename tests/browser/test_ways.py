"""Which way the client asks in: the best one that works, found by itself, kept, and tried again."""

import json
import time

import pytest

from tests.browser.conftest import Tab, Viewer
from tests.browser.network import (
    CATCH_UP,
    HOLD,
    LONG_POLL,
    PASS,
    RESET,
    STATUS,
    STREAM,
    Fate,
    Network,
    Request,
    answer,
    only,
)
from tests.browser.stories import Story

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXPIRE = "localStorage.crewline = JSON.stringify([JSON.parse(localStorage.crewline)[0], 0])"

# Waits are random, between nothing and twice as long: with these it asks after 1 s, and 2 s later.
MEAN_WAITS = "Math.random = () => 0.5"


async def assert_saw_all(tab: Tab, story: Story) -> None:
    await tab.until_done()
    ids, told = await story.log()
    seen = await tab.seen()
    assert seen["ids"] == ids
    assert seen["events"] == [json.loads(event) for event in told]
    assert seen["state"] == await story.state()


async def test_where_streams_are_blocked_it_long_polls_and_remembers_that(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(RESET, STREAM)
    tab = await viewer.tab()
    await tab.watch()
    await tab.until("log.connections.some(({ mode }) => mode === 'longpoll')")
    await story.tell(3)
    blocked = len(net.asked(STREAM))
    other = await viewer.tab()
    await tab.page.close()
    await other.watch()
    await story.tell_all(20, 0.01)
    await assert_saw_all(other, story)
    assert net.asked(LONG_POLL)
    assert len(net.asked(STREAM)) == blocked


async def test_it_tries_the_stream_again_later_and_keeps_to_it(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(RESET, STREAM)
    tab = await viewer.tab()
    await tab.watch()
    await tab.until("log.connections.some(({ mode }) => mode === 'longpoll')")
    net.fate = only(PASS)
    await tab.page.evaluate(EXPIRE)
    await story.tell(1)
    await tab.until(
        "(({ mode, phase }) => mode === 'stream' && phase === 'live')(log.connections.at(-1))"
    )
    await story.tell_all(20, 0.01)
    await assert_saw_all(tab, story)


async def test_a_stream_that_is_buffered_is_left_once_polling_proves_there_is_news(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(HOLD, STREAM)
    tab = await viewer.tab()
    await tab.watch(heartbeat=1)
    await story.tell_all(100, 0.02)
    await assert_saw_all(tab, story)
    assert len(net.asked(STREAM)) == 1
    assert net.asked(LONG_POLL)


async def test_where_nothing_may_be_held_it_polls_on_condition(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(RESET, STREAM, LONG_POLL)
    tab = await viewer.tab()
    await tab.watch()
    polls = "log.connections.filter(({ mode, phase }) => mode === 'poll' && phase === 'waiting')"
    await tab.until(f"{polls}.length > 0", seconds=30)
    polled, read = len(net.asked(STATUS)), len(net.asked(CATCH_UP))
    await tab.until(f"{polls}.length > 1", seconds=30)
    assert len(net.asked(STATUS)) > polled
    assert len(net.asked(CATCH_UP)) == read
    await story.tell_all(3, 0)
    await assert_saw_all(tab, story)


async def test_a_proxy_that_is_no_api_is_not_taken_for_a_stream(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(answer("200 OK", "content-type: text/html", body=b"<p>log in"), STREAM)
    tab = await viewer.tab()
    await tab.watch()
    await story.tell_all(10, 0.01)
    await assert_saw_all(tab, story)


async def test_a_connection_that_is_dead_and_looks_alive_is_noticed(
    viewer: Viewer, net: Network, story: Story
):
    net.fate = only(Fate(stall=1000), STREAM)
    tab = await viewer.tab()
    await tab.watch(heartbeat=2)
    await tab.until("log.ids.length > 1")
    net.fate = only(PASS)
    await story.tell_all(20, 0)
    await assert_saw_all(tab, story)
    assert len(net.asked(STREAM)) == 2


async def test_nobody_comes_back_sooner_than_told(viewer: Viewer, net: Network, story: Story):
    net.fate = lambda _: answer("503 Service Unavailable", "retry-after: 2")
    tab = await viewer.tab()
    await tab.watch()
    await tab.until("log.connections.at(-1)?.phase === 'waiting'")
    began, asked = time.monotonic(), len(net.requests)
    assert asked == 1
    net.fate = only(PASS)
    await story.tell_all(1, 0)
    await assert_saw_all(tab, story)
    assert time.monotonic() - began > 1.8


async def test_a_network_that_is_down_is_asked_ever_less_and_blames_no_way_of_asking(
    viewer: Viewer, net: Network, story: Story
):
    net.down = True
    tab = await viewer.tab()
    await tab.watch()
    waits = "log.connections.filter(({ phase }) => phase === 'waiting')"
    await tab.until(f"{waits}.length >= 3", seconds=40)
    assert len(net.asked(STREAM)) <= 4
    net.down = False
    await story.tell_all(5, 0)
    await assert_saw_all(tab, story)
    assert await tab.page.evaluate("localStorage.crewline") is None


async def test_a_refused_token_is_asked_for_anew(viewer: Viewer, net: Network, story: Story):
    tab = await viewer.tab()
    tokens = "(() => { const tokens = ['stale', %r]; window.renewed = () => tokens.shift(); })()"
    await tab.page.evaluate(tokens % tab.token)
    await tab.watch(token=None)
    await story.tell_all(5, 0)
    await assert_saw_all(tab, story)
    brought = [request.headers["authorization"] for request in net.requests[:2]]
    assert brought == ["Bearer stale", f"Bearer {tab.token}"]


@pytest.mark.parametrize(
    ("flow", "token", "status", "asked"), [("f1", "stale", 401, 4), ("nothing", None, 404, 6)]
)
async def test_what_no_waiting_will_mend_ends_with_an_error(
    viewer: Viewer,
    net: Network,
    story: Story,
    flow: str,
    token: str | None,
    status: int,
    asked: int,
):
    tab = await viewer.tab()
    await tab.page.evaluate(MEAN_WAITS)
    await tab.watch(flow, **({"token": token} if token else {}))
    await tab.until_done(flow)
    seen = await tab.seen(flow)
    assert seen["status"] == status
    assert seen["connections"][-1]["phase"] == "failed"
    assert len(net.requests) <= asked
    assert story.flow == "f1"


async def test_a_launch_whose_answer_was_lost_is_sent_again_and_launches_once(
    viewer: Viewer, net: Network
):
    lost = 2

    def fate(request: Request) -> Fate:
        nonlocal lost
        lost -= request.method == "POST"
        return Fate(cut=0) if request.method == "POST" and lost >= 0 else PASS

    net.fate = fate
    tab = await viewer.tab()
    launched = await tab.page.evaluate(
        """async (token) => {
          const { launch } = await import("/crewline.js");
          const order = { crew: "research_brief", inputs: { question: "q", notes: "n" } };
          return launch({ ...order, token: () => token });
        }""",
        tab.token,
    )
    flows = await viewer.flows.log.recent(viewer.flows.tenant, 10)
    assert [flow.id for flow in flows] == [launched["id"]]
    assert len(net.requests) == 3
