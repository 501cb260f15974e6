"""On Lambda every function answers as it does on a server, to real events of API Gateway."""

import asyncio
import base64
import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.blobs import BlobRef
from core.flows import Head, Status, events
from functions import crew_launch, flow_events, flow_status
from tests.e2e.apps import (
    App,
    LambdaContext,
    begin,
    end,
    gateway_event,
    opened,
    rest_event,
)

JSON = {"content-type": "application/json"}
PLAIN = {"accept-encoding": "identity"}
EVENTS = "/v1/flows/f1/events"
MakeEvent = Callable[..., dict[str, Any]]
both_gateways = pytest.mark.parametrize("make_event", [gateway_event, rest_event])


def invoked(function: ModuleType, event: dict[str, Any], seconds: float = 29.0) -> dict[str, Any]:
    answer = function.handler(event, LambdaContext(seconds))
    if answer["isBase64Encoded"]:
        answer["body"] = base64.b64decode(answer["body"]).decode()
    return answer


def served(
    app: App, function: ModuleType, method: str, url: str, headers: dict[str, str], body: bytes
) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with app.client(function) as client:
            return await client.request(method, url, headers=PLAIN | headers, content=body)

    return asyncio.run(ask())


def prepared(app: App) -> str:
    async def flow() -> str:
        await begin(app.flows)
        return (await end(app.flows)).etag

    return asyncio.run(flow())


@both_gateways
@pytest.mark.parametrize(
    ("function", "method", "url", "headers", "body"),
    [
        (flow_status, "GET", "/v1/flows", {}, b""),
        (flow_status, "GET", "/v1/flows?limit=1", {}, b""),
        (flow_status, "GET", "/v1/flows?limit=x", {}, b""),
        (flow_status, "HEAD", "/v1/flows/f1", {}, b""),
        (flow_status, "GET", "/v1/flows/f1", {}, b""),
        (flow_status, "GET", "/v1/flows/f1", {"if-none-match": "*"}, b""),
        (flow_status, "GET", "/v1/flows/f1", {"if-none-match": 'W/"x", "y"'}, b""),
        (flow_status, "GET", "/v1/flows/f1", {"authorization": "Bearer x"}, b""),
        (flow_status, "GET", "/v1/flows/none", {}, b""),
        (flow_status, "PATCH", "/v1/flows/f1", {}, b""),
        (flow_events, "GET", EVENTS, {"last-event-id": "none"}, b""),
        (crew_launch, "GET", "/v1/crews", {}, b""),
        (crew_launch, "POST", "/v1/flows", JSON | {"idempotency-key": "k"},
         b'{"crew":"haiku","inputs":{"topic":"rain"}}'),
        (crew_launch, "POST", "/v1/flows", JSON, b'{"crew":NaN}'),
        (crew_launch, "POST", "/v1/flows", JSON, b'{"crew":"sonnet"}'),
        (crew_launch, "POST", "/v1/inputs", {}, b""),
    ],
)  # fmt: skip
def test_lambda_answers_as_a_server_does(
    app: App,
    make_event: MakeEvent,
    function: ModuleType,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
):
    prepared(app)
    headers = headers | {"x-request-id": "r1"}
    expected = served(app, function, method, url, headers, body)
    event = make_event(method, url, app.bearer() | headers, body)
    answer = invoked(function, event)
    assert answer["statusCode"] == expected.status_code
    if function is flow_events:  # which hands on what is there, and the reader comes back
        frames = _frames(answer["body"])
        while (again := _resumed(make_event, url, app.bearer(), frames))["statusCode"] == 200:
            frames += _frames(again["body"])
        assert frames == _frames(expected.text)
    else:
        assert answer["body"] == expected.text
    assert answer["headers"] == dict(expected.headers)


def _frames(stream: str) -> list[str]:
    """The events of a stream; the wait, which is drawn anew each time, is left out."""
    return re.sub(r"retry: \d+\n+", "", stream).strip("\n").split("\n\n")


def _resumed(
    make_event: MakeEvent, url: str, headers: dict[str, str], frames: list[str]
) -> dict[str, Any]:
    last = frames[-1].rpartition("id: ")[2]
    return invoked(flow_events, make_event("GET", url, headers | {"last-event-id": last}, b""))


@both_gateways
def test_text_goes_through_as_text(app: App, make_event: MakeEvent):
    prepared(app)
    for function, url in (
        (flow_status, "/v1/flows/f1"),
        (flow_status, "/x"),
        (flow_events, EVENTS),
    ):
        answer = function.handler(make_event("GET", url, app.bearer()), LambdaContext())
        assert answer["isBase64Encoded"] is False


@both_gateways
def test_a_coded_body_goes_through_byte_for_byte(app: App, make_event: MakeEvent):
    prepared(app)
    plain = invoked(flow_status, make_event("GET", "/v1/flows/f1", app.bearer()))
    headers = app.bearer() | {"accept-encoding": "gzip"}
    coded = flow_status.handler(make_event("GET", "/v1/flows/f1", headers), LambdaContext())
    assert coded["isBase64Encoded"]
    assert coded["headers"]["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(coded["body"])).decode() == plain["body"]


@both_gateways
def test_a_304_has_no_type_and_no_body(app: App, make_event: MakeEvent):
    etag = prepared(app)
    headers = app.bearer() | {"if-none-match": etag}
    answer = invoked(flow_status, make_event("GET", "/v1/flows/f1", headers))
    assert answer["statusCode"] == 304
    assert answer["body"] == ""
    assert answer["headers"]["etag"] == etag
    assert "content-type" not in answer["headers"]


@both_gateways
def test_nor_has_a_204(app: App, make_event: MakeEvent):
    prepared(app)
    last = asyncio.run(app.flows.head("acme", "f1")).cursor()
    answer = invoked(flow_events, make_event("GET", EVENTS, app.bearer() | {"last-event-id": last}))
    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert "content-type" not in answer["headers"]


LIMIT = 6 * 1024**2  # of what Lambda hands on


@both_gateways
@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("x" * (LIMIT - 10_000), 200),
        ("x" * LIMIT, 501),
        ('"' * (LIMIT // 4), 501),  # which JSON in JSON makes four times as long
    ],
)
def test_an_answer_that_lambda_does_not_hand_on_is_a_problem_that_says_so(
    app: App, make_event: MakeEvent, output: str, status: int
):
    data = json.dumps(output).encode()
    app.blobs.put("acme", "flows/f1/output", data, "application/json")
    asyncio.run(_with_output(app, BlobRef("flows/f1/output", len(data))))
    event = make_event("GET", "/v1/flows/f1/output", app.bearer())
    answer = flow_status.handler(event, LambdaContext())
    assert answer["statusCode"] == status
    assert len(json.dumps(answer)) <= LIMIT
    if status != 200:
        assert answer["headers"]["content-type"] == "application/problem+json"
        assert "6 MB" in json.loads(answer["body"])["detail"]


async def _with_output(app: App, output: BlobRef) -> None:
    await begin(app.flows)
    finished = events.run_finished("f1", 1)
    await app.flows.transition(
        "acme", "f1", Status.SUCCEEDED, status_epoch=0, output=output, events=finished
    )


@both_gateways
def test_a_binary_input_arrives_byte_for_byte(app: App, make_event: MakeEvent):
    content = bytes(range(256))
    event = make_event("POST", "/v1/inputs", app.bearer(), content)
    answer = invoked(crew_launch, event)
    blob = json.loads(answer["body"])["id"]
    with app.blobs.open("acme", blob) as stream:
        assert stream.read() == content


def test_a_stream_ends_with_its_first_batch_since_nothing_leaves_before_the_end(app: App):
    asyncio.run(_begun(app))
    before = time.monotonic()
    answer = invoked(flow_events, gateway_event("GET", EVENTS, app.bearer()))
    assert time.monotonic() - before < 1
    assert answer["body"].count("\nid: ") + answer["body"].startswith("id: ") == 4
    assert answer["body"].endswith("\n\n")


async def _begun(app: App) -> None:
    await begin(app.flows)


def test_a_snapshot_alone_ends_it_too(app: App):
    asyncio.run(_begun(app))
    headers = app.bearer() | {"last-event-id": "none"}
    answer = invoked(flow_events, gateway_event("GET", EVENTS, headers))
    assert "STATE_SNAPSHOT" in answer["body"]


def test_with_nothing_to_tell_it_holds_until_the_invocation_is_nearly_over(app: App):
    cursor = asyncio.run(_cursor(app))
    headers = app.bearer() | {"last-event-id": cursor}
    before = time.monotonic()
    answer = invoked(flow_events, gateway_event("GET", EVENTS, headers), seconds=2.5)
    assert 0.3 < time.monotonic() - before < 2
    assert answer["statusCode"] == 200
    assert "data:" not in answer["body"]


async def _cursor(app: App) -> str:
    await begin(app.flows)
    return (await app.flows.head("acme", "f1")).cursor()


class Noting(MemoryFlows):
    """Notes the event loops in which it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        self.loops.add(asyncio.get_running_loop())
        return await super().head(tenant, flow, fresh=fresh)


def test_all_invocations_of_a_process_share_one_event_loop(tmp_path: Path):
    flows = Noting()
    with opened(tmp_path, flows) as app:
        headers = app.bearer() | {"if-none-match": "*"}
        for function, url in ((flow_status, "/v1/flows/f1"), (flow_events, EVENTS)) * 2:
            invoked(function, gateway_event("GET", url, headers))
    assert len(flows.loops) == 1
