"""Pages of other origins: those in the settings may call, and are told what they may see."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from functions import METHODS, crew_launch, flow_events, flow_status
from tests.e2e.apps import App, begin, opened
from tests.hosts.test_vercel import asked, functions

OURS = "https://app.example.com"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, cors_origins=(OURS, "http://localhost:3000")) as app:
        yield app


async def preflight(app: App, origin: str, method: str, headers: str) -> httpx.Response:
    async with app.client(flow_events) as client:
        del client.headers["authorization"]
        asked = {
            "origin": origin,
            "access-control-request-method": method,
            "access-control-request-headers": headers,
        }
        return await client.options("/v1/flows/f1/events", headers=asked)


def words(answer: httpx.Response, name: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(name, "").split(",")}


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "if-none-match",
        "last-event-id",
        "prefer",
        "idempotency-key",
        "content-type",
        "cache-control",
        "traceparent",
        "baggage",
        "sentry-trace",
        "x-request-id",
        "x-requested-with",
    ],
)
async def test_a_preflight_needs_no_token(app: App, name: str):
    answer = await preflight(app, OURS, "POST", name)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    assert name in words(answer, "access-control-allow-headers")
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in words(answer, "vary")


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.example.com", "GET", "authorization"),
        ("https://app.example.com.evil.com", "GET", "authorization"),
        ("http://app.example.com", "GET", "authorization"),
        ("null", "GET", "authorization"),
        (OURS, "PATCH", "authorization"),
        (OURS, "GET", "x-other"),
    ],
)
async def test_another_origin_method_or_header_is_refused(
    app: App, origin: str, method: str, headers: str
):
    answer = await preflight(app, origin, method, headers)
    assert answer.status_code == 400
    if origin != OURS:
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("function", [flow_status, flow_events, crew_launch])
@pytest.mark.parametrize("path", ["/v1/flows", "/v1/flows/f1", "/v1/flows/f1/events?after=0", "/x"])
async def test_a_page_may_read_every_answer_and_the_headers_it_needs(app: App, function, path):
    await begin(app.flows)
    for authorization in (app.bearer()["authorization"], "Bearer x"):
        async with app.client(function) as client:
            headers = {"origin": OURS, "authorization": authorization}
            answer = await client.get(path, headers=headers)
        assert answer.headers["access-control-allow-origin"] == OURS
        assert words(answer, "access-control-expose-headers") == {
            "etag", "location", "preference-applied", "retry-after", "x-request-id",
        }  # fmt: skip
        assert "origin" in words(answer, "vary")


async def test_a_304_may_be_read_too(app: App):
    await begin(app.flows)
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows/f1", headers={"origin": OURS, "if-none-match": "*"})
    assert answer.status_code == 304
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers.get_list("vary") == ["Authorization, Accept-Encoding, Origin"]


async def test_for_an_answer_without_an_origin_vary_says_that_it_might_differ(app: App):
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows")
    assert "access-control-allow-origin" not in answer.headers
    assert "origin" in words(answer, "vary")


async def test_without_origins_in_the_settings_no_page_may_call(tmp_path: Path):
    (tmp_path / "closed").mkdir()
    with opened(tmp_path / "closed") as app:
        assert (await preflight(app, OURS, "GET", "authorization")).status_code == 401
        async with app.client(flow_status) as client:
            answer = await client.get("/v1/flows", headers={"origin": OURS})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", [None, OURS, "https://evil.example.com"])
async def test_every_answer_says_that_it_depends_on_the_origin(app: App, origin: str | None):
    """A 304 too, whichever way it is made, or a cache would keep the wrong one of two answers."""
    await begin(app.flows)
    sent = {"origin": origin} if origin else {}
    async with app.client(flow_status) as client:
        whole = await client.get("/v1/flows/f1", headers=sent)
        unchanged = await client.get(
            "/v1/flows/f1", headers=sent | {"if-none-match": whole.headers["etag"]}
        )
    assert (whole.status_code, unchanged.status_code) == (200, 304)
    assert "origin" in words(whole, "vary")
    assert words(whole, "vary") == words(unchanged, "vary")


def test_pages_may_use_every_method_that_a_route_has():
    used = {method for name in functions() for method, _, _ in asked(name)}
    assert used == set(METHODS)
