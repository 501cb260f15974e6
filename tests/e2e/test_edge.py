"""What stands before all routes: base paths and stages, the health route, and safe headers."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from functions import crew_agui, crew_amp, crew_launch, flow_events, flow_status
from infra import page
from infra.api import app as one_port
from tests.e2e.apps import App, LambdaContext, gateway_event, opened, rest_event
from tests.e2e.test_launch import REQUEST
from tests.fixtures_ports import a_launch

FUNCTIONS = [crew_agui, crew_amp, crew_launch, flow_events, flow_status]
JSON = {"content-type": "application/json"}


def invoked(function: ModuleType, event: dict[str, Any]) -> dict[str, Any]:
    return function.handler(event, LambdaContext())


def staged(stage: str, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Any:
    event = gateway_event(method, url, headers, body)
    event["requestContext"]["stage"] = stage
    return event


def test_at_a_named_stage_no_route_is_missing_and_links_lead_back_to_it(app: App):
    body = json.dumps(REQUEST).encode()
    headers = app.bearer() | JSON
    launched = invoked(crew_launch, staged("prod", "POST", "/prod/v1/flows", headers, body))
    assert launched["statusCode"] == 202
    path = launched["headers"]["location"]
    assert path.startswith("/prod/v1/flows/")
    assert invoked(flow_status, staged("prod", "GET", path, headers))["statusCode"] == 200
    ticket = invoked(flow_events, staged("prod", "POST", f"{path}/ticket", headers))
    assert json.loads(ticket["body"])["url"].startswith(f"{path}/events?ticket=")


def rest_staged(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Any:
    """Return what a REST API's stage `prod` hands on: the path without it, in the context with it."""
    event = rest_event(method, url.removeprefix("/prod"), headers, body)
    event["requestContext"] |= {"stage": "prod", "path": url}
    return event


def test_at_a_stage_of_a_rest_api_links_lead_back_to_it(app: App):
    body = json.dumps(REQUEST).encode()
    headers = app.bearer() | JSON
    launched = invoked(crew_launch, rest_staged("POST", "/prod/v1/flows", headers, body))
    assert launched["statusCode"] == 202
    path = launched["headers"]["location"]
    assert path.startswith("/prod/v1/flows/")
    assert invoked(flow_status, rest_staged("GET", path, headers))["statusCode"] == 200
    ticket = invoked(flow_events, rest_staged("POST", f"{path}/ticket", headers))
    assert json.loads(ticket["body"])["url"].startswith(f"{path}/events?ticket=")


def test_at_a_custom_domain_of_a_rest_api_links_have_no_stage(app: App):
    event = rest_event("POST", "/v1/flows", app.bearer() | JSON, json.dumps(REQUEST).encode())
    event["requestContext"] |= {"stage": "prod", "path": "/v1/flows"}
    assert invoked(crew_launch, event)["headers"]["location"].startswith("/v1/flows/")


async def test_a_host_that_streams_tells_the_stage_in_its_scope(app: App):
    event = rest_staged("POST", "/prod/v1/flows/f1/ticket", {})
    await app.flows.create("acme", a_launch("f1"))

    async def hosted(scope: Any, receive: Any, send: Any) -> None:
        await flow_events.app({**scope, "crewline.event": event}, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(hosted), base_url="http://test", headers=app.bearer()
    ) as client:
        answer = await client.post("/v1/flows/f1/ticket")
    assert answer.json()["url"].startswith("/prod/v1/flows/f1/events?ticket=")


def test_a_stage_is_told_by_events_of_an_http_api_in_either_version(app: App):
    event = rest_event("GET", "/prod/v1/flows", app.bearer())
    event |= {"version": "1.0"}
    event["requestContext"] |= {"stage": "prod", "path": "/prod/v1/flows"}
    assert invoked(flow_status, event)["statusCode"] == 200


@pytest.mark.parametrize("stage", ["v1", "prod", "$default"])
def test_a_custom_domain_that_leaves_the_stage_out_is_served_too(app: App, stage: str):
    answer = invoked(flow_status, staged(stage, "GET", "/v1/flows", app.bearer()))
    assert answer["statusCode"] == 200


@pytest.mark.parametrize("make_event", [gateway_event, rest_event])
@pytest.mark.parametrize("base", ["/api", "/v1", "/a/b"])
def test_a_base_path_that_is_set_is_taken_off(tmp_path: Path, make_event: Any, base: str):
    with opened(tmp_path, base_path=base) as app:
        for path in (f"{base}/v1/flows", "/v1/flows" if base != "/v1" else "/v1/v1/flows"):
            answer = invoked(flow_status, make_event("GET", path, app.bearer()))
            assert answer["statusCode"] == 200, path


async def test_on_one_port_a_base_path_is_taken_off_once(tmp_path: Path):
    with opened(tmp_path, base_path="/v1") as app:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(one_port), base_url="http://test", headers=app.bearer()
        ) as client:
            assert (await client.get("/v1/v1/flows")).status_code == 200
            assert (await client.get("/v1/health")).status_code == 200
            assert (await client.get("/v1/")).status_code == 200  # the page


async def test_another_path_is_not_one_that_begins_alike(tmp_path: Path):
    with opened(tmp_path, base_path="/api") as app:
        async with app.client(flow_status) as client:
            assert (await client.get("/apiv1/flows")).status_code == 404


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_anybody_may_ask_whether_a_function_lives(app: App, function: ModuleType):
    app.flows._records = None  # pyright: ignore[reportAttributeAccessIssue] -- no store is asked
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(function.app), base_url="http://test"
    ) as client:
        answer = await client.get("/health")
        head = await client.head("/health")
        assert (await client.post("/health")).status_code == 401
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (head.status_code, head.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("function", [*FUNCTIONS, page])
async def test_no_answer_may_be_framed_or_refer_to_where_it_came_from(
    app: App, function: ModuleType
):
    async with app.client(function) as client:
        for path in ("/", "/health", "/v1/flows", "/nowhere"):
            answer = await client.get(path)
            if function is page and path != "/":
                continue
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
