"""Every route of every function: who gets in, and what those learn who do not."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.types import Message

from core.identity import SCOPES
from functions import cost_report, flow_status
from functions._http import auth
from infra import api
from tests.e2e.apps import App, begin, end

ROOT = Path(__file__).parents[2]
FUNCTIONS = [
    importlib.import_module(f"functions.{path.stem}")
    for path in sorted((ROOT / "functions").glob("[!_]*.py"))
]


@dataclass(frozen=True)
class Way:
    """One way in: a method on a route, and the scopes it takes."""

    function: ModuleType
    method: str
    path: str
    scopes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def ways(function: ModuleType) -> list[Way]:
    """The ways into a function, whichever framework it is made with."""
    router = getattr(function, "router", function)
    return [
        Way(function, method, route.path, frozenset(guard.scope for guard in auth.guards(route)))
        for route in getattr(router, "routes", [])
        for method in sorted(route.methods)
    ]


WAYS = [way for function in FUNCTIONS for way in ways(function)]
NAMED_IN_THE_BODY = ("/amp/{crew}/resume", "/v1/agui/{crew}", "/v1/events/ticket")
NAMED = ("{flow}", "{kickoff}")
TO_A_FLOW = [way for way in WAYS if any(name in way.path for name in NAMED)]
TO_A_FLOW += [way for way in WAYS if way.path in NAMED_IN_THE_BODY or way.path == "/v1/events"]
every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_way_to_a_flow = pytest.mark.parametrize("way", TO_A_FLOW, ids=str)


def body(way: Way, flow: str) -> dict[str, Any]:
    """A body as the route wants it, about this flow."""
    match way.path:
        case "/amp/{crew}/resume":
            words = {"human_feedback": "", "is_approve": True}
            return {"execution_id": flow, "task_id": "write", **words}
        case "/v1/agui/{crew}":
            answer = {"interruptId": f"{flow}:write.review.1", "status": "cancelled"}
            return {"threadId": "t1", "runId": "r1", "messages": [], "resume": [answer]}
        case "/v1/events/ticket":
            return {"flows": [flow]}
        case _:
            return {"review": "write.review.1", "approve": True}


async def tried(app: App, way: Way, flow: str = "f1", **who: Any) -> httpx.Response:
    async with app.client(way.function, **who) as client:
        client.headers["x-request-id"] = "r1"  # else each answer has one of its own
        sent = {"json": body(way, flow)} if way.method == "POST" else {}
        query = {"flows": flow} if way.path == "/v1/events" else None
        return await client.request(way.method, path(way, flow), params=query, **sent)


def path(way: Way, flow: str = "f1") -> str:
    names = {"blob": "in_1", "crew": "example", "budget": "b1", "task": "route", "model": "m"}
    names |= {"saving": "s1"}
    return way.path.replace(":path}", "}").format(flow=flow, kickoff=flow, **names)


def test_the_ways_in_are_those_we_know_of():
    known = {(str(way), *sorted(way.scopes)) for way in WAYS if way.method != "HEAD"}
    assert known == {
        ("GET /v1/flows", "flows:read"),
        ("GET /v1/flows/{flow}", "flows:read"),
        ("GET /v1/flows/{flow}/events", "flows:read"),
        ("GET /v1/flows/{flow}/output", "flows:read"),
        ("POST /v1/flows/{flow}/ticket", "flows:read"),
        ("GET /v1/events", "flows:read"),
        ("POST /v1/events/ticket", "flows:read"),
        ("GET /v1/crews", "crews:read"),
        ("POST /v1/flows", "flows:write"),
        ("DELETE /v1/flows/{flow}", "flows:write"),
        ("POST /v1/flows/{flow}/cancel", "flows:write"),
        ("POST /v1/flows/{flow}/resume", "flows:approve"),
        ("POST /v1/inputs", "inputs:write"),
        ("DELETE /v1/inputs/{blob}", "inputs:write"),
        ("GET /amp/{crew}/inputs", "crews:read"),
        ("POST /amp/{crew}/kickoff", "flows:write"),
        ("GET /amp/{crew}/status/{kickoff}", "flows:read"),
        ("GET /amp/{crew}/{kickoff}/status", "flows:read"),
        ("POST /amp/{crew}/resume", "flows:approve"),
        ("POST /v1/agui/{crew}", "flows:read", "flows:write"),
        ("GET /v1/costs", "costs:read"),
        ("POST /v1/usage", "costs:write"),
        ("GET /v1/budgets", "costs:read"),
        ("PUT /v1/budgets", "budgets:write"),
        ("GET /v1/budgets/{budget}", "costs:read"),
        ("PUT /v1/budgets/{budget}", "budgets:write"),
        ("DELETE /v1/budgets/{budget}", "budgets:write"),
        ("GET /v1/prices", "costs:read"),
        ("GET /v1/prices/{model:path}", "costs:read"),
        ("PUT /v1/prices/{model:path}", "budgets:write"),
        ("DELETE /v1/prices/{model:path}", "budgets:write"),
        ("DELETE /v1/costs/models/{crew}/{task}", "budgets:write"),
        ("DELETE /v1/costs/savings/{saving}/trial", "budgets:write"),
        ("GET /v1/costs/models", "costs:read"),
        ("GET /v1/costs/savings", "costs:read"),
        ("GET /v1/costs/savings/{saving}/trial", "costs:read"),
        ("GET /v1/costs/trials", "costs:read"),
        ("POST /v1/costs/savings/{saving}/trial", "budgets:write"),
        ("PUT /v1/costs/models/{crew}/{task}", "budgets:write"),
        ("POST /v1/feedback", "feedback:write"),
        ("DELETE /v1/feedback", "learning:write"),
        ("POST /v1/recommendations", "recommendations:read"),
        ("GET /v1/learning", "learning:read"),
        ("PUT /v1/learning/{task}", "learning:write"),
    }


def test_all_functions_but_those_that_queues_and_schedules_call_have_ways_in():
    assert [f.__name__ for f in FUNCTIONS if not ways(f)] == [
        "functions.crew_worker",
        "functions.retrain",
        "functions.sweep",
    ]


@every_way
async def test_all_other_scopes_together_do_not_open_a_way(app: App, way: Way):
    for scope in way.scopes:
        answer = await tried(app, way, scopes=SCOPES - {scope})
        assert answer.status_code == 403
        if way.method != "HEAD":
            assert scope in answer.json()["detail"]


@every_way
async def test_its_own_scopes_alone_open_a_way(app: App, way: Way):
    assert (await tried(app, way, scopes=way.scopes)).status_code not in (401, 403)


@every_way
@pytest.mark.usefixtures("app")
async def test_nobody_gets_in_without_a_token(way: Way):
    transport = httpx.ASGITransport(way.function.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.request(way.method, path(way))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer ä", "Bearer " + "a" * 5000,
     "Bearer a.b.c", "token"],
)  # fmt: skip
async def test_what_is_no_token_of_ours_is_told_so_in_few_words(app: App, value: str):
    async with app.client(flow_status) as client:
        headers = {b"authorization": value.encode("latin-1")}
        answer = await client.get("/v1/flows", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 300


async def test_two_tokens_are_none(app: App):
    async with app.client(flow_status) as client:
        del client.headers["authorization"]
        lines = list(app.bearer().items()) * 2
        assert (await client.get("/v1/flows", headers=lines)).status_code == 401


async def test_the_scheme_may_be_written_in_small_letters(app: App):
    token = app.bearer()["authorization"].replace("Bearer", "bearer")
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows", headers={"authorization": token})
    assert answer.status_code == 200


async def test_a_path_that_is_not_there_does_not_say_so_to_strangers(app: App):
    async with app.client(flow_status) as client:
        answer = await client.get("/nowhere", headers={"authorization": ""})
    assert answer.status_code == 401


@every_way_to_a_flow
async def test_another_tenants_flow_cannot_be_told_from_one_that_is_not_there(app: App, way: Way):
    await begin(app.flows, "f1", "acme")
    await begin(app.flows, "f2", "rival")
    strange = ["f2", "nowhere", "a.b", "{acme}:flow:f1", "x" * 65, "%00", "f1%0A"]
    answers = [await tried(app, way, flow) for flow in strange]
    answers += [await tried(app, way, "f1", tenant="rival")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1
    await end(app.flows)
    assert (await tried(app, way)).status_code != 404


@every_way_to_a_flow
async def test_a_path_that_leads_out_of_a_flow_leads_nowhere(app: App, way: Way):
    await begin(app.flows, "f1", "acme")
    answers = [await tried(app, way, "..%2Ff1", tenant=tenant) for tenant in ("acme", "rival")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_a_path_without_a_route_says_how_paths_look(app: App):
    async with app.client(flow_status) as client:
        for path in ("/v1/flows/", "/flows", "/v1/flow"):
            assert "paths begin with /v1" in (await client.get(path)).json()["detail"]


async def test_a_tag_does_not_open_another_tenants_flow(app: App):
    await begin(app.flows, "f1", "acme")
    etag = (await app.flows.head("acme", "f1")).etag
    for tag in (etag, "*"):
        async with app.client(flow_status, tenant="rival") as client:
            answer = await client.get("/v1/flows/f1", headers={"if-none-match": tag})
        assert answer.status_code == 404


async def test_a_list_shows_ones_own_flows_alone(app: App):
    await begin(app.flows, "f1", "acme")
    await begin(app.flows, "f2", "rival")
    async with app.client(flow_status, tenant="rival") as client:
        flows = (await client.get("/v1/flows")).json()["flows"]
    assert [flow["id"] for flow in flows] == ["f2"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/flows", "GET, HEAD, POST"),
        ("POST", "/v1/flows/f1", "GET, HEAD, DELETE"),
        ("GET", "/v1/flows/f1/ticket", "POST"),
        ("PUT", "/v1/inputs", "POST"),
    ],
)
async def test_on_one_port_a_wrong_method_is_told_all_the_right_ones(
    app: App, method: str, path: str, allowed: str
):
    async with app.client(api) as client:
        answer = await client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers.get_list("allow") == [allowed]


async def test_a_function_tells_a_wrong_method_all_that_a_path_has_in_it_whichever_route(app: App):
    allowed = {"/v1/budgets/b1": "GET, HEAD, PUT, DELETE", "/v1/costs": "GET, HEAD"}
    async with app.client(cost_report) as client:
        answers = {path: await client.patch(path) for path in allowed}
    assert {path: answer.headers["allow"] for path, answer in answers.items()} == allowed


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_web_socket_is_closed_at_once(function: ModuleType):
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/flows", "headers": [], "subprotocols": []}
    await function.app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
