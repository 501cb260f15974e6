"""Whatever a network forbids, a reader finds a way, remembers it, and loses nothing."""

import asyncio
import itertools
import math
import time
from collections.abc import Iterator

import pytest

from clients.crewline import AsyncCrewline, CrewlineError, Ladder
from tests.clients.conftest import Deployment
from tests.clients.network import Asked, Fate, Hang, Pass, Say, network
from tests.clients.stories import begun, ended, read, tell, token
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows


class Rules:
    """A network with a rule for each way of reading; it keeps a record of what was asked."""

    def __init__(self, **fates: Fate | Iterator[Fate]) -> None:
        self.fates = fates
        self.asked: list[str] = []

    def __call__(self, asked: Asked) -> Fate:
        way = asked.way.replace("-", "_")
        self.asked.append(way)
        fate = self.fates.get(way, Pass())
        return next(fate) if isinstance(fate, Iterator) else fate


HTML = Say(200, "Content-Type: text/html\r\n", "<p>Our portal</p>")


@pytest.mark.parametrize(
    ("fates", "way"),
    [
        ({"stream": HTML}, "long_poll"),
        ({"stream": Say(501)}, "long_poll"),
        ({"stream": Pass(0)}, "long_poll"),
        ({"stream": Say(429, "Retry-After: 1\r\n")}, "long_poll"),
        ({"stream": HTML, "long_poll": HTML}, "page"),
        ({"stream": Say(504), "long_poll": Say(504)}, "page"),
    ],
)
async def test_a_reader_steps_down_to_what_the_network_lets_through_and_loses_nothing(
    api: Api, flows: Flows, fates: dict[str, Fate], way: str
):
    claim, rules = await begun(flows), Rules(**fates)
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        reading = asyncio.create_task(read(client))
        await tell(flows, claim, range(1, 41), pause=0.02)
        await ended(flows)
        found = await reading
        assert found.numbers == list(range(1, len(found.numbers) + 1))
        assert found.counted == list(range(1, 41))
        assert found.state == await client.state("f1")
        asked = len(rules.asked)
        again = await read(client)
    assert again.events == found.events
    assert set(rules.asked[asked:]) <= {way, "state"}


@pytest.mark.parametrize("rung", [0, 1, 2])
@pytest.mark.parametrize("cursor", ["deadbeef.3", "null"])
async def test_of_a_flow_that_ended_a_cursor_of_no_use_gets_the_state_and_the_final_event(
    api: Api, flows: Flows, cursor: str, rung: int
):
    await begun(flows)
    await ended(flows)
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        client.ladder = Ladder(rung, climb_at=math.inf)
        async with asyncio.timeout(20):
            found = await read(client, cursor=cursor)
        assert found.state == await client.state("f1")
    assert [event["type"] for event in found.events] == ["STATE_SNAPSHOT", "RUN_FINISHED"]


async def test_where_only_the_state_can_be_read_its_changes_are_told_as_snapshots(
    api: Api, flows: Flows
):
    claim, rules = await begun(flows), Rules(stream=HTML, long_poll=HTML, page=HTML)
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        reading = asyncio.create_task(read(client))
        await tell(flows, claim, range(1, 6))
        await asyncio.sleep(4)
        await ended(flows)
        found = await reading
    assert {event["type"] for event in found.events} == {"STATE_SNAPSHOT"}
    versions = [event["snapshot"]["version"] for event in found.events]
    assert versions == sorted(set(versions))
    assert found.state is not None
    assert found.state["status"] == "succeeded"


async def test_a_proxy_that_holds_a_stream_back_is_noticed(api: Api, flows: Flows):
    await begun(flows)
    await ended(flows)
    rules = Rules(stream=Hang())
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        client.ladder = Ladder(strikes=1)  # one more, or it takes twice the time
        found = await read(client)
    assert found.numbers == [1, 2, 3, 4, 5, 6]
    assert rules.asked.count("stream") == 1


async def test_the_better_way_is_tried_again_when_its_time_has_come(api: Api, flows: Flows):
    claim, rules = await begun(flows), Rules(stream=iter([HTML, *[Pass()] * 9]))
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        client.ladder = Ladder(strikes=1, climb_seconds=0.5)
        reading = asyncio.create_task(read(client))
        await tell(flows, claim, range(1, 151), pause=0.02)
        await ended(flows)
        found = await reading
    assert found.counted == list(range(1, 151))
    assert found.numbers == list(range(1, len(found.numbers) + 1))
    assert rules.asked[:2] == ["stream", "long_poll"]
    assert rules.asked[-1] == "stream"


@pytest.mark.parametrize(("status", "then"), [(429, "long_poll"), (503, "stream")])
async def test_a_server_that_names_a_time_is_left_alone_for_so_long(
    api: Api, flows: Flows, status: int, then: str
):
    await begun(flows)
    await ended(flows)
    refusal = Say(status, "Retry-After: 2\r\n")
    rules = Rules(stream=iter([refusal, Pass()]), state=iter([refusal, Pass()]))
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        began = time.monotonic()
        assert (await read(client)).numbers == [1, 2, 3, 4, 5, 6]
        assert 2 <= time.monotonic() - began < 6
        assert (await client.state("f1"))["status"] == "succeeded"
        assert time.monotonic() - began >= 4
    assert rules.asked == ["stream", then, "state", "state"]


async def test_a_token_that_has_expired_is_asked_for_anew_once_for_all(api: Api, flows: Flows):
    names = [f"f{n}" for n in range(5)]
    for name in names:
        await begun(flows, name)
        await ended(flows, name)
    handed_out: list[str] = []

    async def fresh() -> str:
        await asyncio.sleep(0.01)
        handed_out.append("stale" if not handed_out else token(api, flows))
        return handed_out[-1]

    async with AsyncCrewline(api.url, fresh) as client:
        found = await asyncio.gather(*(read(client, name) for name in names))
    assert [reading.numbers for reading in found] == [[1, 2, 3, 4, 5, 6]] * 5
    assert len(handed_out) == 2


@pytest.mark.parametrize(("flow", "bearer", "status"), [("f1", "no", 401), ("nope", None, 404)])
async def test_what_may_not_be_read_is_said_clearly(
    api: Api, flows: Flows, flow: str, bearer: str | None, status: int
):
    await begun(flows)
    async with AsyncCrewline(api.url, bearer or token(api, flows)) as client:
        with pytest.raises(CrewlineError) as caught:
            await read(client, flow)
    assert caught.value.status == status
    assert caught.value.problem["title"] in str(caught.value)


async def test_what_a_lagging_store_does_not_show_yet_is_asked_for_again(api: Api, flows: Flows):
    claim = await begun(flows)
    missing = iter([Say(404), Say(404)])
    rules = Rules(stream=itertools.chain(missing, itertools.repeat(Pass())))
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        reading = asyncio.create_task(read(client))
        await tell(flows, claim, range(1, 4))
        await ended(flows)
        assert (await reading).counted == [1, 2, 3]
    assert rules.asked.count("stream") == 3


async def test_a_flow_is_not_missed_by_the_client_that_launched_it(api: Api, flows: Flows):
    missing = iter([Say(404), Say(404)])
    rules = Rules(state=itertools.chain(iter([Pass()]), missing, itertools.repeat(Pass())))
    async with network(api.url, rules) as url, AsyncCrewline(url, token(api, flows)) as client:
        flow = await client.launch("research_brief", {"question": "q", "notes": "n"})
        assert (await client.state(flow))["status"] == "queued"
        with pytest.raises(CrewlineError, match="404"):
            await client.state("another")


async def test_an_outage_of_the_store_in_the_middle_costs_time_and_nothing_else(
    flows: Flows, deployment: Deployment
):
    claim, api = await begun(flows), deployment.api
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        reading = asyncio.create_task(read(client))
        await tell(flows, claim, range(1, 31), pause=0.01)
        deployment.kill_gateway()
        await tell(flows, claim, range(31, 61), pause=0.1)
        deployment.start_gateway()
        await tell(flows, claim, range(61, 91), pause=0.01)
        await ended(flows)
        found = await reading
        assert found.state == await client.state("f1")
    assert found.counted == list(range(1, 91))
    assert found.numbers == list(range(1, len(found.numbers) + 1))


async def test_a_cursor_goes_on_where_it_was_kept_and_knows_the_state(api: Api, flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 21))
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        first = client.follow("f1")
        told = []
        async for event in first:
            told.append(event)
            if event.get("name") == "count" and event["value"]["number"] == 10:
                break
        await ended(flows)
        rest = await read(client, cursor=first.cursor)
        told += [event async for event in first]
        assert rest.state == first.state == await client.state("f1")
        assert (await read(client, cursor=rest.cursors[-1])).events == []
        reset = await read(client, cursor="00000000.3")
    assert [e["value"]["number"] for e in told if e.get("name") == "count"] == list(range(1, 21))
    assert rest.counted == list(range(11, 21))
    assert [event["type"] for event in reset.events] == ["STATE_SNAPSHOT", "RUN_FINISHED"]
