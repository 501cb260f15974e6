"""How many streams and held polls one subject may have: all that is held counts, and who is over
the limit is told so in a way that its kind of client understands."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from core import bootstrap
from core.adapters.memory import MemoryFlows
from core.flows import Head
from core.identity import Principal
from functions import crew_agui, flow_events, flow_status
from tests.e2e.apps import App, begin, end, opened

LIMIT = 20


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, stream_seconds=2.0, streams_per_subject=LIMIT) as app:
        yield app


@contextmanager
def taken(streams: int, tenant: str = "acme") -> Iterator[None]:
    limiter = bootstrap.stream_limiter()
    with ExitStack() as slots:
        for _ in range(streams):
            slots.enter_context(limiter.slot(Principal(tenant, "ann", frozenset())))
        yield


async def got(app: App, path: str, **headers: str) -> httpx.Response:
    function = flow_events if "events" in path else flow_status
    async with app.client(function) as client, asyncio.timeout(1.5):
        return await client.get(path, headers=headers)


def is_refusal(answer: httpx.Response) -> None:
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert "too many streams" in answer.json()["detail"]


async def test_who_sends_a_token_is_refused_with_a_status(app: App):
    await begin(app.flows)
    await end(app.flows)
    with taken(LIMIT):
        is_refusal(await got(app, "/v1/flows/f1/events"))
        is_refusal(await got(app, "/v1/events?flows=f1"))
    assert (await got(app, "/v1/flows/f1/events")).status_code == 200


async def test_a_run_is_refused_with_a_status_before_it_is_launched(app: App):
    with taken(LIMIT):
        async with app.client(crew_agui) as client:
            body = {"threadId": "t", "runId": "r", "state": {"inputs": {"topic": "sea"}}}
            is_refusal(await client.post("/v1/agui/haiku", json=body))
    assert not app.flows._records


async def test_an_event_source_is_told_within_the_stream_and_when_to_come_back(app: App):
    """Any status but 200 would end it for good."""
    await begin(app.flows)
    async with app.client(flow_events) as client:
        url = (await client.post("/v1/flows/f1/ticket")).json()["url"]
    with taken(LIMIT):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(flow_events.app), base_url="http://test"
        ) as client:
            answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    comment, wait = answer.text.removesuffix("\n").split("\nretry: ")
    assert comment == ": too many streams"
    assert 5000 <= int(wait) < 10_000


async def test_each_flow_of_a_stream_counts(app: App):
    names = [f"f{n}" for n in range(3)]
    for name in names:
        await begin(app.flows, name)
        await end(app.flows, name)
    with taken(LIMIT - 2):
        is_refusal(await got(app, f"/v1/events?flows={','.join(names)}"))
        assert (await got(app, f"/v1/events?flows={','.join(names[:2])}")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/flows/f1", "/v1/flows/f1/events?after={cursor}"])
async def test_a_poll_over_the_limit_is_answered_at_once_with_a_time_to_come_back(
    app: App, path: str
):
    await begin(app.flows)
    head = await app.flows.head("acme", "f1")
    with taken(LIMIT):
        answer = await got(
            app, path.format(cursor=head.cursor()), prefer="wait=2", if_none_match=head.etag
        )
    assert answer.elapsed.total_seconds() < 1
    assert int(answer.headers["retry-after"]) > 0
    assert "preference-applied" not in answer.headers


async def test_a_held_poll_takes_a_stream_until_it_is_answered(app: App):
    await begin(app.flows)
    with taken(LIMIT - 1):
        held = asyncio.create_task(
            got(app, "/v1/flows/f1", prefer="wait=1", **{"if-none-match": "*"})
        )
        await asyncio.sleep(0.2)
        is_refusal(await got(app, "/v1/flows/f1/events"))
        assert (await held).headers["preference-applied"] == "wait=1"
        async with app.client(flow_events) as client:
            assert (await client.head("/v1/flows/f1/events")).status_code == 200


async def test_one_subject_takes_nothing_from_another(app: App):
    await begin(app.flows, tenant="rival")
    await end(app.flows, tenant="rival")
    with taken(LIMIT):
        async with app.client(flow_events, tenant="rival") as client:
            assert (await client.get("/v1/flows/f1/events")).status_code == 200
    assert not bootstrap.stream_limiter()._open


class Slow(MemoryFlows):
    """A store at some distance."""

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        await asyncio.sleep(0.1)
        return await super().head(tenant, flow, fresh=fresh)


async def test_a_stream_of_many_flows_begins_as_soon_as_one_of_a_single_flow(tmp_path: Path):
    with opened(tmp_path, flows := Slow(), stream_seconds=0.5) as app:
        for n in range(20):
            await begin(flows, f"f{n}")
        async with asyncio.timeout(1.5):
            answer = await got(app, f"/v1/events?flows={','.join(f'f{n}' for n in range(20))}")
    told = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data:")]
    assert len({event["flow"] for event in told}) == 20
    assert not any(record.subscribers for record in flows._records.values())
