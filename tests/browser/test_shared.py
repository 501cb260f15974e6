"""One connection for all flows that all tabs of an origin follow, whoever comes, ends or is refused."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.browser.conftest import Tab, Viewer
from tests.browser.network import CATCH_UP, LONG_POLL, RESET, STREAM, Network, only
from tests.browser.stories import Story, begin, begin_all
from tests.fixtures_api import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

CUT_LATE = 2  # one that was left may be noticed after the next has come
LIVE = "log.connections.at(-1)?.phase === 'live'"


async def assert_saw_all(tab: Tab, *stories: Story) -> None:
    for story in stories:
        await tab.until_done(story.flow)
        ids, told = await story.log()
        seen = await tab.seen(story.flow)
        assert seen["ids"] == ids
        assert seen["events"] == [json.loads(event) for event in told]
        assert seen["state"] == await story.state()


async def tell(stories: Sequence[Story], count: int) -> None:
    await asyncio.gather(*(story.tell(count, 0.02) for story in stories))


async def end(stories: Sequence[Story]) -> None:
    await asyncio.gather(*(story.end() for story in stories))


def _bearer(api: Api, tenant: str) -> str:
    return api.auth(tenant)["authorization"].removeprefix("Bearer ")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 -- of the network, which knows no events
            await asyncio.sleep(0.02)


def watched_together(net: Network) -> set[str]:
    """The flows of the newest stream."""
    return net.asked(STREAM)[-1].flows if net.asked(STREAM) else set()


async def test_flows_that_several_tabs_follow_share_one_connection(viewer: Viewer, net: Network):
    stories = await begin_all(viewer.flows, 6)
    tabs = [await viewer.tab() for _ in range(3)]
    for at, tab in enumerate(tabs):
        await tab.watch(*(story.flow for story in stories[at * 2 :][:3]))
    await until(lambda: watched_together(net) == {story.flow for story in stories})
    await tell(stories, 10)
    for at, tab in enumerate(tabs):
        for story in stories[at * 2 :][:3]:
            await tab.until("log.ids.length >= 14", story.flow)
    assert net.open[STREAM] == 1
    assert net.most[STREAM] <= CUT_LATE
    await end(stories)
    for at, tab in enumerate(tabs):
        await assert_saw_all(tab, *stories[at * 2 :][:3])
    assert net.open[STREAM] == 0


async def test_flows_followed_at_once_are_asked_for_together(viewer: Viewer, net: Network):
    stories = await begin_all(viewer.flows, 20)
    tab = await viewer.tab()
    flows = [story.flow for story in stories]
    await tab.page.evaluate(
        "([flows, options]) => flows.forEach((flow) => watch(flow, options))",
        [flows, {"token": tab.token}],
    )
    for flow in flows:
        await tab.until("log.ids.length >= 4", flow)
    assert watched_together(net) == set(flows)
    assert len(net.asked(STREAM)) <= 3  # one, unless an answer to the roll call was late
    await end(stories)
    await assert_saw_all(tab, *stories)


async def test_when_the_leading_tab_closes_the_flows_of_the_others_go_on(
    viewer: Viewer, net: Network
):
    stories = await begin_all(viewer.flows, 4)
    leader, other = await viewer.tab(), await viewer.tab()
    await leader.watch("f0", "f1")
    await leader.until(LIVE)
    await other.watch("f1", "f2", "f3")
    await other.until(LIVE, "f3")
    await tell(stories, 10)
    await leader.page.close()
    await tell(stories, 10)
    await end(stories)
    await assert_saw_all(other, *stories[1:])
    assert watched_together(net) <= {"f1", "f2", "f3"}
    assert net.most[STREAM] <= CUT_LATE


async def test_when_the_leaders_own_flow_ends_or_is_stopped_the_others_go_on(
    viewer: Viewer, net: Network
):
    stories = await begin_all(viewer.flows, 4)
    tab = await viewer.tab()
    await tab.watch(*(story.flow for story in stories))
    await until(lambda: len(watched_together(net)) == 4)
    await tell(stories, 5)
    await stories[0].end()
    await assert_saw_all(tab, stories[0])
    await until(lambda: watched_together(net) == {"f1", "f2", "f3"})
    await tab.page.evaluate("following.f1.stop()")
    await tell(stories[2:], 5)
    await until(lambda: watched_together(net) == {"f2", "f3"})
    await end(stories[2:])
    await assert_saw_all(tab, *stories[2:])
    assert net.most[STREAM] <= CUT_LATE


async def test_a_flow_may_come_and_end_while_others_stream(viewer: Viewer, net: Network):
    stories = await begin_all(viewer.flows, 3)
    leader, other = await viewer.tab(), await viewer.tab()
    await leader.watch("f0", "f1")
    await leader.until(LIVE, "f1")
    telling = asyncio.create_task(tell(stories[:2], 60))
    await other.watch("f2")
    await stories[2].tell_all(20, 0.01)
    await assert_saw_all(other, stories[2])
    await telling
    await end(stories[:2])
    await assert_saw_all(leader, *stories[:2])
    assert net.most[STREAM] <= CUT_LATE


async def test_a_flow_that_is_refused_fails_alone(viewer: Viewer, net: Network):
    stories = await begin_all(viewer.flows, 3)
    leader, other = await viewer.tab(), await viewer.tab()
    await leader.watch("f0", "f1")
    await leader.until(LIVE, "f1")
    await other.watch("f2", "nothing")
    await other.until_done("nothing")
    assert (await other.seen("nothing"))["status"] == 404
    await tell(stories, 10)
    await end(stories)
    await assert_saw_all(leader, *stories[:2])
    await assert_saw_all(other, stories[2])
    assert "nothing" not in watched_together(net)


async def test_a_tab_of_another_tenant_reads_what_the_leader_may_not(viewer: Viewer, api: Api):
    stories = await begin_all(viewer.flows, 1)
    leader, other = await viewer.tab(), await viewer.tab()
    await leader.watch("f0", token=_bearer(api, "elsewhere"))
    await leader.until("log.connections.some(({ leading }) => leading)", "f0")
    await other.watch("f0")
    await leader.until_done("f0")
    assert (await leader.seen("f0"))["status"] == 404
    await stories[0].tell_all(10, 0.01)
    await assert_saw_all(other, *stories)


async def test_of_two_tenants_each_tab_sees_its_own_flows(viewer: Viewer, api: Api):
    mine = await begin(viewer.flows)
    theirs = await begin(replace(viewer.flows, tenant=f"{viewer.flows.tenant}b"), "theirs")
    leader, other = await viewer.tab(), await viewer.tab()
    await leader.watch()
    await leader.until(LIVE)
    await other.watch("theirs", token=_bearer(api, theirs.flows.tenant))
    await tell([mine, theirs], 20)
    await end([mine, theirs])
    await assert_saw_all(leader, mine)
    await assert_saw_all(other, theirs)


@pytest.mark.timeout(120)
async def test_twenty_five_flows_take_turns_and_none_is_lost(viewer: Viewer, net: Network):
    stories = await begin_all(viewer.flows, 25)
    tabs = [await viewer.tab() for _ in range(2)]
    for story in stories:
        await tabs[int(story.flow[1:]) % 2].watch(story.flow)
    await tell(stories, 5)
    for story in stories:
        await tabs[int(story.flow[1:]) % 2].until("log.ids.length >= 9", story.flow, 60)
    assert net.most[STREAM] <= CUT_LATE
    assert max(len(request.flows) for request in net.asked(STREAM)) == 20
    await end(stories)
    for story in stories:
        await assert_saw_all(tabs[int(story.flow[1:]) % 2], story)


async def test_where_streams_are_blocked_the_flows_are_polled_one_after_the_other(
    viewer: Viewer, net: Network
):
    net.fate = only(RESET, STREAM)
    stories = await begin_all(viewer.flows, 3)
    tabs = [await viewer.tab() for _ in range(2)]
    for tab in tabs:
        await tab.watch(*(story.flow for story in stories))
        await tab.until("log.connections.at(-1)?.mode === 'longpoll'", "f0", 30)
    await asyncio.sleep(1)
    net.most.clear()  # tabs that come late catch up with each flow on their own
    await tell(stories, 10)
    await end(stories)
    for tab in tabs:
        await assert_saw_all(tab, *stories)
    assert net.most[CATCH_UP] + net.most[LONG_POLL] <= 3


async def test_without_web_locks_each_flow_asks_for_itself(viewer: Viewer, net: Network):
    await viewer.context.add_init_script(
        "Object.defineProperty(navigator, 'locks', { value: undefined })"
    )
    stories = await begin_all(viewer.flows, 2)
    tabs = [await viewer.tab() for _ in range(2)]
    for tab in tabs:
        await tab.watch("f0", "f1")
        for story in stories:
            await tab.until(LIVE, story.flow)
    assert net.open[STREAM] == 4
    await tell(stories, 5)
    await end(stories)
    for tab in tabs:
        await assert_saw_all(tab, *stories)
