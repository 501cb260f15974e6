"""Tabs: one connection for all, whoever closes; and where a tab goes on when it comes back."""

import json

import pytest

from tests.browser.conftest import Tab, Viewer
from tests.browser.network import STREAM, Network
from tests.browser.stories import Story

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIVE = "log.connections.some(({ phase }) => phase === 'live')"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


async def assert_saw_all(tab: Tab, story: Story, skipped: int = 0) -> None:
    await tab.until_done()
    ids, told = await story.log()
    seen = await tab.seen()
    assert seen["ids"] == ids[skipped:]
    assert seen["events"] == [json.loads(event) for event in told[skipped:]]
    assert seen["state"] == await story.state()


async def test_three_tabs_share_one_connection_and_outlive_whoever_holds_it(
    viewer: Viewer, net: Network, story: Story
):
    tabs = [await viewer.tab() for _ in range(3)]
    await tabs[0].watch()
    await tabs[0].until(LIVE)
    await tabs[1].watch()
    await story.tell(20)
    await tabs[2].watch()
    await tabs[2].until("log.ids.length >= 24")
    await story.tell(20)
    for tab in tabs:
        await tab.until("log.ids.length >= 44")
    assert net.open[STREAM] == len(net.asked(STREAM)) == 1
    await tabs[0].page.close()
    await story.tell(20, 0.01)
    for tab in tabs[1:]:
        await tab.until("log.ids.length >= 64")
    assert net.open[STREAM] == 1
    assert len(net.asked(STREAM)) == 2
    await story.end()
    for tab in tabs[1:]:
        await assert_saw_all(tab, story)


async def test_leaders_that_close_one_after_the_other_lose_nothing(
    viewer: Viewer, net: Network, story: Story
):
    tabs = [await viewer.tab() for _ in range(5)]
    for tab in tabs:
        await tab.watch()
    for tab in tabs[:-1]:
        await story.tell(15, 0.01)
        await tab.page.close()
    await story.tell(15)
    await story.end()
    await assert_saw_all(tabs[-1], story)
    assert net.open[STREAM] == 0


async def test_a_tab_that_was_reloaded_goes_on_where_it_was(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    await tab.watch()
    await story.tell(10)
    await tab.until("log.ids.length >= 14")
    before = await tab.seen()
    await tab.reload()
    await tab.watch()
    await tab.until("log.states.length === 1")
    assert (await tab.seen())["states"] == before["states"][-1:]
    await story.tell_all(5, 0)
    await assert_saw_all(tab, story, skipped=len(before["ids"]))
    assert net.asked(STREAM)[-1].headers["last-event-id"] == before["ids"][-1]


async def test_a_tab_that_wants_the_whole_story_gets_it_again(viewer: Viewer, story: Story):
    tab = await viewer.tab()
    await tab.watch()
    await story.tell_all(10, 0)
    await tab.until_done()
    await tab.reload()
    await tab.watch(replay=True)
    await assert_saw_all(tab, story)


async def test_a_flow_of_which_all_was_seen_is_not_asked_for_twice(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    await tab.watch()
    await story.tell_all(10, 0)
    await tab.until_done()
    await tab.reload()
    asked = len(net.requests)
    await tab.watch()
    await tab.until_done()
    seen = await tab.seen()
    assert seen["ids"] == []
    assert seen["state"] == await story.state()
    assert len(net.requests) == asked


async def test_a_cursor_of_no_use_gets_the_state_and_goes_on(viewer: Viewer, story: Story):
    tab = await viewer.tab()
    stale = json.dumps(["00000000.7", {"version": 99, "status": "running"}])
    key = f"crewline:{viewer.net.url}/v1/flows/f1"
    await tab.page.evaluate("([key, kept]) => { sessionStorage[key] = kept; }", [key, stale])
    await tab.watch()
    await tab.until("log.ids.length === 1")
    await story.tell_all(5, 0)
    await tab.until_done()
    ids, _ = await story.log()
    seen = await tab.seen()
    assert seen["events"][0]["type"] == "STATE_SNAPSHOT"
    assert seen["ids"] == ids[-len(seen["ids"]) :]
    assert seen["state"] == await story.state()


@pytest.mark.parametrize("way", ["stream", "longpoll", "poll"])
async def test_of_a_flow_that_ended_a_cursor_of_no_use_still_gets_the_final_event(
    viewer: Viewer, story: Story, way: str
):
    await story.tell_all(5, 0)
    tab = await viewer.tab()
    key = f"crewline:{viewer.net.url}/v1/flows/f1"
    stale = json.dumps(["00000000.7", {"version": 99, "status": "running"}])
    fallback = json.dumps([way, 9e15])
    await tab.page.evaluate(
        "([key, kept, way]) => { sessionStorage[key] = kept; localStorage.crewline = way; }",
        [key, stale, fallback],
    )
    await tab.watch()
    await tab.until_done()
    ids, told = await story.log()
    seen = await tab.seen()
    assert [event["type"] for event in seen["events"]] == ["STATE_SNAPSHOT", "RUN_FINISHED"]
    assert (seen["ids"], seen["events"][-1]) == (ids[-2:], json.loads(told[-1]))
    assert seen["state"] == await story.state()


async def test_a_hidden_page_lets_go_after_a_while_and_goes_on_when_it_is_seen_again(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    await tab.watch(grace=0.3)
    await tab.until(LIVE)
    await tab.page.evaluate(HIDE, True)
    await story.tell(5)
    await tab.until("log.connections.at(-1).phase === 'paused'")
    await net.until_closed(STREAM)
    seen = len((await tab.seen())["ids"])
    await story.tell(5)
    assert len((await tab.seen())["ids"]) == seen
    await tab.page.evaluate(HIDE, False)
    await story.tell_all(5, 0)
    await assert_saw_all(tab, story)


async def test_a_glance_at_another_tab_costs_no_connection(
    viewer: Viewer, net: Network, story: Story
):
    tab = await viewer.tab()
    await tab.watch(grace=5)
    await tab.until(LIVE)
    await tab.page.evaluate(HIDE, True)
    await tab.page.evaluate(HIDE, False)
    await story.tell_all(5, 0)
    await assert_saw_all(tab, story)
    assert len(net.asked(STREAM)) == 1


async def test_a_leader_that_is_hidden_leaves_the_connection_to_a_tab_that_is_seen(
    viewer: Viewer, net: Network, story: Story
):
    hidden, shown = await viewer.tab(), await viewer.tab()
    await hidden.watch(grace=0.1)
    await hidden.until(LIVE)
    await shown.watch()
    await hidden.page.evaluate(HIDE, True)
    await shown.until("log.connections.some(({ leading }) => leading)")
    await story.tell_all(10, 0.01)
    await assert_saw_all(shown, story)
    assert net.open[STREAM] == 0


async def test_who_stops_hears_no_more(viewer: Viewer, net: Network, story: Story):
    tab = await viewer.tab()
    await tab.watch()
    await tab.until(LIVE)
    await tab.page.evaluate("following.f1.stop()")
    await tab.until_done()
    seen = len((await tab.seen())["ids"])
    await story.tell_all(5, 0)
    assert len((await tab.seen())["ids"]) == seen
    assert net.open[STREAM] == 0


async def test_a_listener_that_fails_takes_nothing_from_the_others(viewer: Viewer, story: Story):
    tab = await viewer.tab()
    await tab.page.evaluate(
        """async (token) => {
          const { follow } = await import("/crewline.js");
          window.count = 0;
          const onEvent = () => { window.count += 1; throw new Error("a page's own mistake"); };
          window.following.f1 = follow({ url: "/v1/flows/f1", token: () => token, onEvent });
        }""",
        tab.token,
    )
    await story.tell_all(5, 0)
    state = await tab.page.evaluate("following.f1.done")
    ids, _ = await story.log()
    assert await tab.page.evaluate("count") == len(ids)
    assert state == await story.state()
