"""The functions that stream, as AWS Lambda runs them: a process that is invoked again and again."""

import asyncio
import base64
import gzip
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import brotli
import pytest

from core.adapters.upstash.http import HttpRedis
from core.flows import Status, events
from tests.e2e.apps import rest_event
from tests.fixtures_api import Api, process_environ
from tests.fixtures_ports import Flows, over_redis
from tests.fixtures_servers import Rest
from tests.hosts.runtime_api import STREAMING, Answer, Invoked, RuntimeApi, running
from tests.live import FIRST_EVENTS, begun

ME = Api("")
LAST_EVENTS = 2  # STATE_DELTA, RUN_FINISHED
Start = Callable[[str, RuntimeApi], AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def start(gateway: Rest) -> Start:
    """Start a function on the runtime."""
    environ = process_environ(gateway) | {"CREWLINE_CORS_ORIGINS": "https://a.example"}
    return lambda app, api: running(STREAMING, api, environ, handler=app)


@pytest.fixture(scope="module")
def events_api(start: Start) -> Iterator[RuntimeApi]:
    """flow_events in a process that all tests share: it is as warm as can be."""
    with RuntimeApi() as api, start("functions.flow_events.app", api):
        yield api


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


class Reader:
    """Reads a stream of events as they come."""

    def __init__(self, invoked: Invoked) -> None:
        self.invoked, self._text = invoked, ""
        self._pieces = invoked.pieces()
        self.events = list[dict[str, Any]]()
        self.ids = list[str]()

    async def read(self) -> bool:
        """Wait for the next piece; return whether there was one."""
        piece = await asyncio.to_thread(next, self._pieces, None)
        *whole, self._text = (self._text + (piece or b"").decode()).split("\n\n")
        for frame in whole:
            lines = dict(line.split(": ", 1) for line in frame.split("\n") if line[:1] != ":")
            self.ids.append(lines["id"])
            self.events.append(json.loads(lines["data"]))
        return piece is not None

    async def until(self, count: int) -> None:
        """Wait for so many events. Raises queue.Empty."""
        while len(self.events) < count:
            assert await self.read(), "the stream ended"

    async def rest(self) -> None:
        while await self.read():
            continue
        assert not self._text.strip("\n").startswith("data"), "cut in the middle of an event"


def asked(flows: Flows, url: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rest_event(method, url, ME.auth(flows.tenant) | named)


async def answered(api: RuntimeApi, event: dict[str, Any]) -> Answer:
    return await asyncio.to_thread(api.invoke(event).answer)


def events_of(flow: str) -> str:
    return f"/v1/flows/{flow}/events"


async def test_thirteen_events_arrive_each_when_it_happens(events_api: RuntimeApi, flows: Flows):
    teller = await begun(flows, "f1")
    reader = Reader(events_api.invoke(asked(flows, events_of("f1"))))
    await reader.until(FIRST_EVENTS)
    for told in range(1, 8):  # none of them is told before the one before it has arrived
        await teller.tell()
        await reader.until(FIRST_EVENTS + told)
    await teller.end()
    await reader.rest()
    assert [event["type"] for event in reader.events].count("CUSTOM") == 7
    assert len(reader.events) == 13
    assert reader.events[-1]["type"] == "RUN_FINISHED"
    answer = reader.invoked.answer()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"


async def test_a_flow_is_read_exactly_once_over_two_invocations(
    events_api: RuntimeApi, flows: Flows
):
    teller = await begun(flows, "f1")
    first = Reader(events_api.invoke(asked(flows, events_of("f1")), seconds=3.5))
    await teller.tell()
    await first.rest()  # its time is over
    assert first.events[-1].get("name") == "told"
    assert first.invoked.trailers == {}
    await teller.tell()
    await teller.end()
    again = asked(flows, events_of("f1"), last_event_id=first.ids[-1])
    second = Reader(events_api.invoke(again))
    await second.rest()
    numbers = [int(one.partition(".")[2]) for one in first.ids + second.ids]
    assert numbers == list(range(1, FIRST_EVENTS + 2 + LAST_EVENTS + 1))
    assert second.events[-1]["type"] == "RUN_FINISHED"
    last = asked(flows, events_of("f1"), last_event_id=second.ids[-1])
    assert (await answered(events_api, last)).status == 204


async def test_a_stream_ends_well_before_its_time(events_api: RuntimeApi, flows: Flows):
    await begun(flows, "f1")
    reader = Reader(events_api.invoke(asked(flows, events_of("f1")), seconds=3.0))
    await reader.rest()
    left = reader.invoked.deadline_ms / 1000 - time.time()
    assert 1.0 < left < 2.1
    assert len(reader.ids) == FIRST_EVENTS


async def test_five_streams_in_one_process_are_alike(events_api: RuntimeApi, flows: Flows):
    teller = await begun(flows, "f1")
    await teller.end()
    bodies = [
        (await answered(events_api, asked(flows, events_of("f1")))).body.partition(b"\n")[2]
        for _ in range(5)
    ]
    assert bodies == bodies[:1] * 5
    assert bodies[0].count(b"\n\n") == FIRST_EVENTS + LAST_EVENTS


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("GET", "/v1/flows/f2/events", {}, 404),
        ("GET", "/v1/flows/f1/events", {"authorization": "Bearer x.y.z"}, 401),
        ("HEAD", "/v1/flows/f1/events", {}, 200),
        ("GET", "/v1/flows/f1/events?after=0", {}, 200),
        ("POST", "/v1/flows/f1/ticket", {}, 201),
        ("OPTIONS", "/v1/flows/f1/events", {"origin": "https://a.example", "access-control-request-method": "GET"}, 200),
        ("GET", "/health", {}, 200),
        ("PUT", "/v1/flows/f1/events", {}, 405),
    ],
)  # fmt: skip
async def test_what_is_no_stream_is_answered_too(
    events_api: RuntimeApi,
    flows: Flows,
    method: str,
    url: str,
    headers: dict[str, str],
    status: int,
):
    await begun(flows, "f1")
    event = rest_event(method, url, ME.auth(flows.tenant) | headers)
    answer = await answered(events_api, event)
    assert answer.status == status
    assert (answer.body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    ("coding", "decode"),
    [("gzip", gzip.decompress), ("br", brotli.decompress), ("identity", bytes)],
)
async def test_a_page_is_coded_by_the_app(
    events_api: RuntimeApi, flows: Flows, coding: str, decode: Callable[[bytes], bytes]
):
    teller = await begun(flows, "f1")
    await teller.tell("long " * 500)
    page = asked(flows, f"{events_of('f1')}?after=0", accept_encoding=coding)
    answer = await answered(events_api, page)
    assert answer.headers.get("content-encoding", "identity") == coding
    assert len(json.loads(decode(answer.body))["events"]) == FIRST_EVENTS + 1


async def test_a_ticket_is_made_of_a_base64_body(events_api: RuntimeApi, flows: Flows):
    await begun(flows, "f1")
    event = asked(flows, "/v1/events/ticket", "POST", content_type="application/json")
    event["body"] = base64.b64encode(b'{"flows": ["f1"]}').decode()
    answer = await answered(events_api, event)
    assert answer.status == 201
    url = json.loads(answer.body)["url"]
    reader = Reader(events_api.invoke(rest_event("GET", url, {})))
    await reader.until(FIRST_EVENTS)
    reader.invoked.hang_up()


async def test_a_link_begins_with_the_stage_that_was_asked(events_api: RuntimeApi, flows: Flows):
    await begun(flows, "f1")
    event = asked(flows, "/v1/flows/f1/ticket", "POST")
    event["requestContext"]["path"] = "/dev/v1/flows/f1/ticket"
    answer = await answered(events_api, event)
    assert json.loads(answer.body)["url"].startswith("/dev/v1/flows/f1/events?")


async def test_a_poll_that_has_nothing_new_is_a_304(start: Start, flows: Flows):
    await begun(flows, "f1")
    with RuntimeApi() as api, start("functions.flow_status.app", api):
        first = await answered(api, asked(flows, "/v1/flows/f1"))
        etag = first.headers["etag"]
        answer = await answered(api, asked(flows, "/v1/flows/f1", if_none_match=etag))
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == etag
    assert "content-type" not in answer.headers


async def test_an_ag_ui_run_streams(start: Start, flows: Flows):
    run = {
        "threadId": "t1", "runId": "r1", "state": {}, "messages": [], "tools": [], "context": [],
        "forwardedProps": {"inputs": {"question": "q", "notes": "n"}},
    }  # fmt: skip
    headers = ME.auth(flows.tenant) | {"content-type": "application/json"}
    event = rest_event("POST", "/v1/agui/research_brief", headers, json.dumps(run).encode())
    with RuntimeApi() as api, start("functions.crew_agui.app", api):
        reader = Reader(api.invoke(event, seconds=8.0))
        await reader.until(1)
        assert reader.events[0]["type"] == "RUN_STARTED"
        (flow,) = await flows.log.recent(flows.tenant, 1)
        finished = events.run_finished(flow.id, "done")
        await flows.ledger.transition(
            flows.tenant, flow.id, Status.SUCCEEDED, status_epoch=0, events=finished
        )
        await reader.rest()
    assert reader.events[-1]["type"] == "RUN_FINISHED"


async def test_sigterm_ends_a_stream_after_a_whole_event_and_then_the_process(
    start: Start, flows: Flows
):
    teller = await begun(flows, "f1")
    with RuntimeApi() as api, start("functions.flow_events.app", api) as process:
        reader = Reader(api.invoke(asked(flows, events_of("f1"))))
        await reader.until(FIRST_EVENTS)
        await teller.tell("x" * 5000)
        process.send_signal(signal.SIGTERM)
        await reader.rest()
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert reader.invoked.trailers == {}


async def test_sigterm_ends_an_idle_process(start: Start, flows: Flows):
    with RuntimeApi() as api, start("functions.flow_events.app", api) as process:
        await answered(api, asked(flows, "/health"))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0


@pytest.mark.parametrize("handler", ["functions.nowhere.app", "functions.flow_events.nothing"])
async def test_a_function_that_cannot_be_loaded_says_so(start: Start, handler: str):
    with RuntimeApi() as api, start(handler, api) as process:
        error = await asyncio.to_thread(partial(api.init_errors.get, timeout=20))
        assert error["errorType"] in {"Runtime.ModuleNotFoundError", "Runtime.AttributeError"}
        assert await asyncio.to_thread(process.wait, 10) == 1


async def test_nothing_is_read_before_the_first_request():
    with RuntimeApi() as api, running(STREAMING, api, {}, handler="functions.flow_events.app"):
        assert (await answered(api, rest_event("GET", "/health", {}))).status == 200
        assert (await answered(api, rest_event("GET", "/v1/flows/f1/events", {}))).status >= 500
