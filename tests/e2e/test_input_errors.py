"""Whatever is sent, the answer is a problem of under 2 kB that repeats none of it; never a 500."""

import json
from types import ModuleType
from typing import Any

import httpx
import pytest

from core.errors import UnavailableError
from functions import crew_launch, flow_events, flow_status
from tests.e2e.apps import App, opened
from tests.e2e.test_launch import REQUEST

CANARY = "c4n4ry"


async def sent(app: App, content: Any, **headers: str) -> httpx.Response:
    given = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with app.client(crew_launch) as client:
        return await client.post("/v1/flows", content=content, headers=given)


def is_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == status
    assert len(answer.content) < 2048
    assert CANARY not in answer.text
    assert "Traceback" not in answer.text


def with_topic(text: str) -> bytes:
    return b'{"crew":"haiku","inputs":{"topic":' + text.encode("utf-8", "surrogatepass") + b"}}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"crew":"{CANARY}'.encode(), id="cut off"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe" + CANARY.encode(), id="not UTF-8"),
        pytest.param(with_topic("NaN"), id="NaN"),
        pytest.param(with_topic("-Infinity"), id="infinity"),
        pytest.param(with_topic("1e9999"), id="too large a float"),
        pytest.param(with_topic('"\\ud800"'), id="lone surrogate"),
        pytest.param(with_topic('"\ud800"'), id="lone surrogate, raw"),
        pytest.param(with_topic("[" * 65 + "]" * 65), id="deep"),
        pytest.param(with_topic("[" * 100_000 + "]" * 100_000), id="very deep"),
        pytest.param(with_topic('{"a":' * 30_000 + "1" + "}" * 30_000), id="very deep objects"),
        pytest.param(with_topic("9" * 10_000), id="ten thousand digits"),
        pytest.param(with_topic('1,"topic":2'), id="a key twice"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_400(app: App, body: bytes):
    is_problem(await sent(app, body), 400)


async def test_a_body_of_the_wrong_shape_is_a_422(app: App):
    for body in ([], None, CANARY, 1, {"crew": [CANARY]}, {"crew": CANARY.upper()}):
        is_problem(await sent(app, json.dumps(body)), 422)
    many = {f"{CANARY[:1]}{number}" * 30: CANARY for number in range(1000)}
    is_problem(await sent(app, json.dumps(REQUEST | many)), 422)


async def test_a_value_that_breaks_the_crews_schema_is_not_repeated(app: App):
    answer = await sent(app, with_topic(json.dumps(CANARY * 10_000)))
    is_problem(answer, 422)


async def test_a_body_over_the_limit_is_a_413_however_it_is_sent(app: App):
    async def chunks():
        for _ in range(300):
            yield b" " * 1024

    is_problem(await sent(app, b" " * 300_000), 413)
    is_problem(await sent(app, chunks()), 413)
    is_problem(await sent(app, b"{}", content_length="50000000"), 413)


async def test_only_plain_json_is_taken(app: App):
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""):
        is_problem(await sent(app, b"{}", content_type=kind), 415)
    is_problem(await sent(app, b"\x1f\x8b\x08", content_encoding="gzip"), 415)


@pytest.mark.parametrize("function", [flow_status, flow_events, crew_launch])
async def test_a_path_that_is_not_there_is_a_404(app: App, function: ModuleType):
    async with app.client(function) as client:
        for path in ("/", f"/{CANARY}", "/v1/flows/", "/v1/flows/a/b", "/docs", "/openapi.json"):
            is_problem(await client.get(path), 404)


@pytest.mark.parametrize(
    ("function", "method", "path", "allowed"),
    [
        (flow_status, "POST", "/v1/flows", {"GET", "HEAD"}),
        (flow_status, "DELETE", "/v1/flows/f1", {"GET", "HEAD"}),
        (flow_events, "PUT", "/v1/flows/f1/events", {"GET", "HEAD"}),
        (crew_launch, "GET", "/v1/inputs", {"POST"}),
        (crew_launch, "TRACE", "/v1/crews", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_is_not_there_is_a_405_that_names_those_that_are(
    app: App, function: ModuleType, method: str, path: str, allowed: set[str]
):
    async with app.client(function) as client:
        answer = await client.request(method, path)
    is_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_what_nobody_expected_is_a_500_without_a_trace(app: App):
    async with app.client(flow_status) as client:
        app.flows._records = None  # pyright: ignore[reportAttributeAccessIssue] -- to break it
        is_problem(await client.get(f"/v1/flows/{CANARY}"), 500)


async def test_a_store_that_does_not_answer_is_a_503_with_a_time_to_come_back(tmp_path: Any):
    class Gone:
        def __getattr__(self, name: str) -> Any:
            async def asked(*_: Any, **__: Any) -> None:
                raise UnavailableError("the store does not answer", 4)

            return asked

    flows: Any = Gone()
    with opened(tmp_path, flows) as app:
        async with app.client(flow_status) as client:
            answer = await client.get("/v1/flows/f1")
            launched = await sent(app, json.dumps(REQUEST))
    for problem in (answer, launched):
        is_problem(problem, 503)
        assert problem.headers["retry-after"] == "4"
