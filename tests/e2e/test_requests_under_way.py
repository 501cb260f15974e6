"""One subject's requests are worked on a few at a time, so that they hold up nobody else's."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters.memory import MemoryFlows
from core.flows import Head, Summary
from functions import crew_launch, flow_events, flow_status
from functions._http.under_way import under_way
from tests.e2e.apps import App, begin, opened

LIMIT, STREAMS, ASKED = 5, 20, 40
LIMITS = {"streams_per_subject": STREAMS, "requests_per_subject": LIMIT}


class Busy(MemoryFlows):
    """A store at some distance, which knows how much it was asked at once."""

    now, most = 0, 0

    async def asked(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.2)
        self.now -= 1

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        await self.asked()
        return await super().head(tenant, flow, fresh=fresh)

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        await self.asked()
        return await super().recent(tenant, limit, before)


@pytest.fixture
def flows() -> Busy:
    return Busy()


@pytest.fixture
def app(tmp_path: Path, flows: Busy) -> Iterator[App]:
    with opened(tmp_path, flows, stream_seconds=1.0, **LIMITS) as app:
        yield app
    assert not under_way._open  # whatever ended, however it ended


async def statuses(app: App, path: str, **headers: str) -> Counter[int]:
    async with app.client(flow_status) as client:
        asked = (client.get(path, headers=headers) for _ in range(ASKED))
        return Counter(answer.status_code for answer in await asyncio.gather(*asked))


@pytest.mark.parametrize("path", ["/v1/flows", "/v1/flows/f1"])
async def test_what_is_too_much_at_once_is_refused(app: App, flows: Busy, path: str):
    await begin(flows)
    unchanged = await statuses(app, path, **{"if-none-match": "*"})
    assert unchanged == {429: ASKED - LIMIT, 200 if path == "/v1/flows" else 304: LIMIT}
    assert flows.most == LIMIT


async def test_who_is_refused_is_told_why_and_when_to_come_back(app: App):
    async with app.client(flow_status) as client:
        answers = await asyncio.gather(*(client.get("/v1/flows") for _ in range(LIMIT + 1)))
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert "under way" in refused.json()["detail"]
        assert (await client.get("/v1/flows")).status_code == 200


async def test_one_subject_takes_nothing_from_another(app: App):
    asked = asyncio.create_task(statuses(app, "/v1/flows"))
    await asyncio.sleep(0.05)
    async with app.client(flow_status, tenant="rival") as client:
        assert (await client.get("/v1/flows")).status_code == 200
    await asked


async def test_all_functions_of_a_process_count_together(app: App):
    asked = asyncio.create_task(statuses(app, "/v1/flows"))
    await asyncio.sleep(0.05)
    async with app.client(crew_launch) as client:
        assert (await client.get("/v1/crews")).status_code == 429
    await asked


async def test_streams_and_held_polls_take_no_place_of_a_request(app: App, flows: Busy):
    await begin(flows)
    known = {"if-none-match": "*"}
    async with app.client(flow_events) as client, app.client(flow_status) as poller:
        streams = [asyncio.create_task(client.get("/v1/flows/f1/events")) for _ in range(STREAMS)]
        await asyncio.sleep(0.05)
        assert await statuses(app, "/v1/flows/f1", **known) == {304: LIMIT, 429: ASKED - LIMIT}
        assert {(await stream).status_code for stream in streams} == {200}
        held = [
            asyncio.create_task(poller.get("/v1/flows/f1", headers=known | {"prefer": "wait=1"}))
            for _ in range(LIMIT)
        ]
        await asyncio.sleep(0.5)
        assert await statuses(app, "/v1/flows/f1", **known) == {304: LIMIT, 429: ASKED - LIMIT}
        assert {(await poll).headers["preference-applied"] for poll in held} == {"wait=1"}
