"""Whatever is cut, a page sees every event once, in order, and ends with the flow's state."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from tests.browser.conftest import Tab, Viewer
from tests.browser.network import PASS, Network, network
from tests.browser.stories import Story, begin_all
from tests.fixtures_api import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 7
LEAST_BYTES, MOST_BYTES = 400, 2500  # with headers: a few events, or none
FLOWS_A_TAB = 5  # each has a connection with EventSource, and Chromium opens six to a host
PAUSE_SECONDS = 0.1  # what five flows tell passes through one connection that is always cut


async def assert_saw_all(tab: Tab, story: Story, *, native: bool = False) -> None:
    ids, told = await story.log()
    seen = await tab.seen(story.flow)
    assert seen["ids"] == ids
    assert seen["events"] == [json.loads(event) for event in told]
    if not native:
        assert seen["state"] == await story.state()


async def tell_until(net: Network, stories: Sequence[Story], cuts: int) -> None:
    """Write to all flows until the network has cut that often, and end them."""

    async def write(story: Story) -> None:
        while net.cuts < cuts:
            await story.tell(1, PAUSE_SECONDS)
        await story.end()

    await asyncio.gather(*map(write, stories))
    net.fate = lambda _: PASS


async def native(tab: Tab, story: Story) -> None:
    """Follow with the browser's own EventSource, which takes a ticket."""
    opened = """async ([flow, token]) => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`/v1/flows/${flow}/ticket`, { method: "POST", headers });
      native(flow, (await answer.json()).url);
    }"""
    await tab.page.evaluate(opened, [story.flow, tab.token])


async def soak(viewer: Viewer, nets: Sequence[Network], cuts: int, *, eventsource: bool) -> None:
    """Watch five flows over each network, in a tab of its own, until each has cut `cuts` times."""
    stories = await begin_all(viewer.flows, FLOWS_A_TAB * len(nets))
    told = [stories[at * FLOWS_A_TAB :][:FLOWS_A_TAB] for at in range(len(nets))]
    for seed, net in enumerate(nets):
        net.cut_at_random(LEAST_BYTES, MOST_BYTES, SEED + seed)
    tabs = [await viewer.tab(net) for net in nets]
    for tab, its in zip(tabs, told, strict=True):
        for story in its:
            await (native(tab, story) if eventsource else tab.watch(story.flow))
    await asyncio.gather(*(tell_until(*pair, cuts) for pair in zip(nets, told, strict=True)))
    for tab, its in zip(tabs, told, strict=True):
        for story in its:
            await tab.until_done(story.flow)
            await assert_saw_all(tab, story, native=eventsource)
    total = sum(net.cuts for net in nets)
    assert total >= cuts * len(nets)
    print("seed", SEED, "flows", len(stories), "cuts", total)


@pytest.mark.parametrize("eventsource", [False, True], ids=["crewline", "EventSource"])
async def test_two_hundred_cuts_lose_nothing_and_repeat_nothing(
    viewer: Viewer, net: Network, eventsource: bool
):
    await soak(viewer, [net], 200, eventsource=eventsource)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("eventsource", [False, True], ids=["crewline", "EventSource"])
async def test_two_thousand_cuts_over_twenty_flows_lose_nothing_and_repeat_nothing(
    viewer: Viewer, api: Api, eventsource: bool
):
    async with AsyncExitStack() as opened:
        nets = [await opened.enter_async_context(network(api.url)) for _ in range(4)]
        await soak(viewer, nets, 500, eventsource=eventsource)
