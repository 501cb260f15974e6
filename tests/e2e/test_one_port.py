"""One port for all functions: a request goes to the one that has its route, and costs the others nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route
from starlette.types import Scope

from infra.api import OnePort
from tests.e2e.apps import opened


class Tried(Route):
    """A route that knows how often it was compared with a request."""

    times = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.times += 1
        return super().matches(scope)


def function(path: str, method: str) -> tuple[Starlette, Tried]:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{method} {path}")

    route = Tried(path, answer, methods=[method])
    return Starlette(routes=[route]), route


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path) -> Iterator[None]:
    with opened(tmp_path):
        yield


@pytest.fixture
def parts() -> list[tuple[Starlette, Tried]]:
    return [function("/a", "GET"), function("/a", "POST"), function("/b", "GET")]


async def asked(parts: list[Any], method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(OnePort({}, *(app for app, _ in parts)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


async def test_no_function_is_tried_behind_the_one_that_has_the_route(parts: list[Any]):
    assert (await asked(parts, "GET", "/a")).text == "GET /a"
    assert [route.times for _, route in parts[1:]] == [0, 0]


async def test_a_function_with_the_method_goes_before_one_with_the_path_alone(parts: list[Any]):
    assert (await asked(parts, "POST", "/a")).text == "POST /a"
    assert (await asked(parts, "GET", "/b")).text == "GET /b"
    refused = await asked(parts, "PUT", "/a")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, POST"
