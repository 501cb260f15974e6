"""What stands in a request's head is bounded before anything looks into it, whoever sends it."""

import time
from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import httpx
import pytest

from core.flows import tickets
from core.identity import SCOPES, Principal
from functions import crew_agui, crew_amp, crew_launch, crew_worker, flow_events, flow_status, sweep
from infra import api
from tests.e2e.apps import App, LambdaContext, gateway_event
from tests.pace import cpu_bound

APPS: list[ModuleType] = [
    api, crew_agui, crew_amp, crew_launch, crew_worker, flow_events, flow_status, sweep
]  # fmt: skip
PATHS = ["/v1/flows", "/v1/flows/f1/events", "/v1/crews", "/v1/worker", "/nowhere"]
MOST_MS = 3  # of the event loop, for somebody without a token
LONG = 256 * 1024


class Head:
    """A request's head as a server hands it on, with something in it beyond the least."""

    def __init__(self, query: str = "", path: str = "", **headers: str) -> None:
        lines = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self._path = path
        self._scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
            "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in lines],
            "client": ("192.0.2.7", 1), "server": ("test", 80),
        }  # fmt: skip

    async def status(self, function: ModuleType, path: str) -> int:
        """Call an app, and do nothing else of what it takes to be a client."""
        sent = list[Any]()

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await function.app(self._scope | {"path": path + self._path}, receive, send)
        return sent[0]["status"]


def repeated(part: str, size: int) -> str:
    return part * (size // len(part))


HEADS: dict[str, Callable[[int], Head]] = {
    "empty parameters": lambda size: Head("ticket=&" + repeated("%41&", size)),
    "short parameters": lambda size: Head("ticket=&" + repeated("a&", size)),
    "escapes": lambda size: Head("ticket=" + repeated("%e2%82%ac", size)),
    "separators": lambda size: Head("ticket=" + repeated(";=", size)),
    "folders": lambda size: Head(path=repeated("/v1", size)),
    "a long name": lambda size: Head(path="a" * size),
    "a token": lambda size: Head(authorization="bearer " + "a" * size + "!"),
    "spaces": lambda size: Head(authorization="bearer" + " " * size),
    "codings": lambda size: Head(accept_encoding=repeated("a;q=1,", size)),
    "an id": lambda size: Head(x_request_id="a" * size),
    "an origin": lambda size: Head(origin="a" * size),
    "many": lambda size: Head(**{f"x-{number:x}": "" for number in range(size // 6)}),
}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("size", [8_000, LONG])
@pytest.mark.parametrize("name", HEADS)
async def test_no_head_costs_more_than_a_moment_before_anybody_is_known(name: str, size: int):
    head = HEADS[name](size)
    for function, path in product(APPS, PATHS):
        tries = list[float]()
        for _ in range(5):
            begun = time.thread_time()
            assert 400 <= await head.status(function, path) < 500
            tries.append((time.thread_time() - begun) * 1000)
        assert min(tries) < MOST_MS or min(tries) < cpu_bound(MOST_MS), (function, path)


@pytest.mark.parametrize("function", APPS)
@pytest.mark.parametrize(
    ("query", "headers", "status", "bound"),
    [
        ("a=" + "a" * 8192, {}, 414, "8192 bytes"),
        ("a&" * 64, {}, 400, "64 parameters"),
        ("", {"x-a": "a" * 32 * 1024}, 431, "32768 bytes"),
        ("", {f"x-{number}": "" for number in range(256)}, 431, "256"),
    ],
)
async def test_what_is_too_long_is_refused_in_words_that_name_the_bound(
    app: App, function: ModuleType, query: str, headers: dict[str, str], status: int, bound: str
):
    async with app.client(function) as client:
        answer = await client.get(f"/v1/flows?{query}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert bound in answer.json()["detail"]


def test_a_lambda_refuses_alike(app: App):
    event = gateway_event("GET", "/v1/flows?" + "a&" * 1000, app.bearer())
    assert flow_status.handler(event, LambdaContext())["statusCode"] == 400


async def test_the_longest_ticket_fits_with_a_cursor_for_each_of_its_flows(app: App):
    flows = [f"{number:064}" for number in range(tickets.FLOWS)]
    who = Principal("t" * 64, "s" * 64, SCOPES)
    query = httpx.QueryParams(
        ticket=tickets.issue(app.keys, who, flows, int(time.time())),
        flows=",".join(flows),
        lastEventId="~".join(["0123abcd.1234567890"] * len(flows)),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(flow_events.app), base_url="http://test"
    ) as client:
        answer = await client.get("/a/long/base/path/v1/events", params=query)
        assert answer.status_code == 404  # of this path; nobody minds its length
        assert (await client.get("/v1/events", params=query)).status_code == 404  # no such flow
