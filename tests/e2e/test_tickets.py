"""Tickets over HTTP: what an EventSource opens with one, and what nobody does."""

import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.flows import Head, tickets
from core.identity import SCOPES, Principal
from functions import crew_launch, flow_events, flow_status
from tests.e2e.apps import App, begin, end, opened
from tests.e2e.test_events import read

FUNCTIONS = {"status": flow_status, "events": flow_events, "launch": crew_launch}
ANN = Principal("acme", "ann", SCOPES)


@pytest.fixture
async def flows(app: App) -> App:
    for flow in ("a", "b"):
        await begin(app.flows, flow)
        await end(app.flows, flow)
    return app


async def asked(method: str, url: str, function: Any = flow_events, **more: Any):
    """Ask without a token."""
    transport = httpx.ASGITransport(function.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, url, **more)


async def issued(app: App, path: str, **more: Any) -> httpx.Response:
    async with app.client(flow_events) as client:
        return await client.post(path, **more)


async def test_a_ticket_for_one_flow_opens_its_stream_again_and_again(flows: App):
    answer = await issued(flows, "/v1/flows/a/ticket")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert given["expires_seconds"] == 3600
    assert given["url"] == f"/v1/flows/a/events?ticket={given['ticket']}"
    for _ in range(2):
        assert len(read(await asked("GET", given["url"]))) == 6
    assert (await asked("HEAD", given["url"])).status_code == 200
    assert len((await asked("GET", given["url"] + "&after=1")).json()["events"]) == 5


async def test_a_ticket_for_several_opens_them_together(flows: App):
    given = (await issued(flows, "/v1/events/ticket", json={"flows": ["b", "a"]})).json()
    assert given["url"] == f"/v1/events?flows=b,a&ticket={given['ticket']}"
    told = read(await asked("GET", given["url"]))
    assert len(told) == 12
    back = await asked("GET", given["url"], headers={"last-event-id": told[-1].id})
    assert back.status_code == 204


@pytest.mark.parametrize(
    ("function", "method", "path"),
    [
        ("events", "GET", "/v1/flows/b/events"),
        ("events", "GET", "/v1/flows/none/events"),
        ("events", "GET", "/v1/events?flows=b"),
        ("events", "GET", "/v1/events?flows=a,b"),
        ("events", "POST", "/v1/flows/a/ticket"),
        ("events", "POST", "/v1/events/ticket"),
        ("status", "GET", "/v1/flows/a"),
        ("status", "HEAD", "/v1/flows/a"),
        ("status", "GET", "/v1/flows"),
        ("launch", "GET", "/v1/crews"),
        ("launch", "POST", "/v1/flows"),
        ("launch", "POST", "/v1/inputs"),
    ],
)
async def test_it_opens_nothing_else(flows: App, function: str, method: str, path: str):
    ticket = tickets.issue(flows.keys, ANN, ["a"], int(time.time()))
    query = f"{path}{'&' if '?' in path else '?'}ticket={ticket}"
    answer = await asked(method, query, FUNCTIONS[function], json={"flows": ["a"]})
    assert answer.status_code == 401
    assert ticket not in answer.text


@pytest.mark.parametrize("path", ["/v1/events?flows=a", "/v1/events?flows=b,a", "/v1/events"])
async def test_a_list_is_opened_as_it_was_asked_for(flows: App, path: str):
    ticket = tickets.issue(flows.keys, ANN, ["a", "b"], int(time.time()))
    query = f"{path}{'&' if '?' in path else '?'}ticket={ticket}"
    assert (await asked("GET", query)).status_code in (401, 422)


async def test_another_tenants_ticket_finds_nothing(flows: App):
    rival = Principal("rival", "eve", SCOPES)
    ticket = tickets.issue(flows.keys, rival, ["a"], int(time.time()))
    assert (await asked("GET", f"/v1/flows/a/events?ticket={ticket}")).status_code == 404


@pytest.mark.parametrize("age", [3600, 10**6])
async def test_an_expired_ticket_is_refused(flows: App, age: int):
    ticket = tickets.issue(flows.keys, ANN, ["a"], int(time.time()) - age)
    answer = await asked("GET", f"/v1/flows/a/events?ticket={ticket}")
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


async def test_with_both_the_token_counts(flows: App):
    ticket = tickets.issue(flows.keys, ANN, ["a"], int(time.time()))
    for token, status in ((flows.bearer("rival"), 404), ({"authorization": "Bearer x"}, 401)):
        url = f"/v1/flows/a/events?ticket={ticket}"
        assert (await asked("GET", url, headers=token)).status_code == status
    url = f"/v1/flows/b/events?ticket={ticket}"
    assert (await asked("GET", url, headers=flows.bearer())).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"flows": ["a", "none"]}, 404),
        ({"flows": ["a", "b.c"]}, 404),
        ({"flows": []}, 422),
        ({"flows": ["a", "a"]}, 422),
        ({"flows": [f"f{n}" for n in range(21)]}, 422),
        ({"flows": "a"}, 422),
        ({"flows": [1]}, 422),
        ({"flows": [["a"]]}, 422),
        ({"flows": ["a"], "tenant": "rival"}, 422),
        ({}, 422),
        (["a"], 422),
    ],
)
async def test_a_ticket_is_for_flows_that_are_there(flows: App, body: Any, status: int):
    answer = await issued(flows, "/v1/events/ticket", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


class Broken(MemoryFlows):
    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:  # noqa: ARG002
        raise ZeroDivisionError(tenant, flow)


async def test_no_ticket_is_written_down_or_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with opened(tmp_path, Broken()) as app, caplog.at_level(logging.DEBUG):
        ticket = tickets.issue(app.keys, ANN, ["a"], int(time.time()))
        answers = [
            await asked("GET", f"/v1/flows/a/events?after=0&ticket={ticket}"),
            await asked("GET", f"/v1/flows/a/events?ticket={ticket}x"),
            await asked("GET", f"/{ticket}?ticket={ticket}"),
        ]
    assert [answer.status_code for answer in answers] == [500, 401, 404]
    assert not any(ticket in answer.text for answer in answers)
    ours = [record for record in caplog.records if record.name.startswith(("core", "functions"))]
    assert ours
    assert not any(ticket in caplog.handler.format(record) for record in ours)
