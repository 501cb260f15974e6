"""Launching crews over HTTP, and giving them inputs."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.errors import UnavailableError
from core.flows import Status
from functions import crew_launch
from tests.crew_folders import with_crew
from tests.e2e.apps import App, opened
from tests.fixtures_ports import leased

REQUEST: dict[str, Any] = {"crew": "haiku", "inputs": {"topic": "rain"}}


async def launched(
    app: App, request: dict[str, Any] = REQUEST, *, tenant: str = "acme", **headers: str
) -> httpx.Response:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    async with app.client(crew_launch, tenant=tenant) as client:
        return await client.post("/v1/flows", json=request, headers=lines)


async def test_a_launch_answers_at_once_with_where_to_look(app: App):
    answer = await launched(app)
    body = answer.json()
    assert answer.status_code == 202
    assert re.fullmatch(r"fl_[0-9a-f]{32}", body["id"])
    assert answer.headers["location"] == f"/v1/flows/{body['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert body["status"] == "queued"
    assert body["links"] == {
        "self": f"/v1/flows/{body['id']}",
        "events": f"/v1/flows/{body['id']}/events",
    }


async def test_a_launched_flow_is_whole_and_due(app: App):
    flow = (await launched(app)).json()["id"]
    state = await app.flows.state("acme", flow)
    assert state.head.status is Status.QUEUED
    assert state.crew == "haiku"
    assert state.inputs == {"topic": "rain", "season": "autumn"}
    assert [step.id for step in state.steps] == ["write"]
    assert state.definition["tasks"]["write"]["agent"] == "poet"
    first, second = await app.flows.entries("acme", flow, 0, 10)
    event = json.loads(first.json)
    assert event.pop("timestamp") > 1_700_000_000_000
    assert event == {"type": "RUN_STARTED", "threadId": flow, "runId": flow}
    assert json.loads(second.json)["snapshot"] == state.public()
    assert await leased(app.flows, "acme", 0) == [flow]


async def test_without_a_key_each_launch_is_a_flow_of_its_own(app: App):
    assert (await launched(app)).json() != (await launched(app)).json()


async def test_the_same_request_under_the_same_key_is_one_flow_however_often_it_is_sent(
    app: App,
):
    answers = await asyncio.gather(*(launched(app, idempotency_key="k 1") for _ in range(50)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len(await app.flows.recent("acme", 100)) == 1


async def test_the_order_of_members_makes_no_other_request(app: App):
    there = {"crew": "haiku", "inputs": {"topic": "rain", "season": "spring"}}
    back = {"inputs": {"season": "spring", "topic": "rain"}, "crew": "haiku"}
    first = await launched(app, there, idempotency_key="k")
    assert (await launched(app, back, idempotency_key="k")).json() == first.json()


async def test_another_request_under_the_same_key_is_a_conflict(app: App):
    await launched(app, idempotency_key="k")
    other = {"crew": "haiku", "inputs": {"topic": "snow"}}
    answer = await launched(app, other, idempotency_key="k")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:crewline:problem:conflict"


async def test_tenants_do_not_share_keys(app: App):
    mine = await launched(app, idempotency_key="k")
    theirs = await launched(app, tenant="rival", idempotency_key="k")
    assert mine.json()["id"] != theirs.json()["id"]


async def test_a_deploy_that_changes_the_crew_does_not_make_a_replay_another_request(
    app: App, tmp_path: Path
):
    first = await launched(app, idempotency_key="k")
    path = tmp_path / "haiku" / "crew.yaml"
    with_crew(tmp_path, "haiku", path.read_text().replace("autumn", "winter"))
    again = tmp_path / "again"
    again.mkdir()
    with opened(again, app.flows):
        assert (await launched(app, idempotency_key="k")).json() == first.json()


class NoWorker(MemoryFlows):
    """A flow log whose workers cannot be woken."""

    async def enqueue(self, tenant: str, flow: str) -> None:
        del tenant, flow
        raise UnavailableError("the queue does not answer")


async def test_a_flow_whose_worker_could_not_be_woken_is_launched_all_the_same(tmp_path: Path):
    with opened(tmp_path, NoWorker()) as app:
        flow = (await launched(app)).json()["id"]
        assert await leased(app.flows, "acme", 0) == [flow]


async def test_an_unknown_crew_is_answered_with_those_there_are(app: App):
    answer = await launched(app, {"crew": "sonnet", "inputs": {}})
    assert answer.status_code == 422
    assert "haiku" in answer.json()["detail"]
    assert answer.json()["errors"][0]["pointer"] == "/crew"


@pytest.mark.parametrize(
    ("request_body", "pointer"),
    [
        ({"crew": "haiku", "inputs": {}}, "/inputs"),
        ({"crew": "haiku", "inputs": {"topic": "x" * 50}}, "/inputs/topic"),
        ({"crew": "haiku", "inputs": {"topic": "rain", "key": "s3cret"}}, "/inputs"),
        ({"crew": "haiku", "inputs": ["rain"]}, "/inputs"),
        ({"crew": "../haiku", "inputs": {}}, "/crew"),
        ({"crew": 7}, "/crew"),
        ({"inputs": {}}, "/crew"),
        (REQUEST | {"tenant": "rival"}, "/tenant"),
        (REQUEST | {"status": "succeeded"}, "/status"),
        (REQUEST | {"a/b~c": 1}, "/a~1b~0c"),
    ],
)
async def test_a_request_that_does_not_fit_is_told_where(
    app: App, request_body: dict[str, Any], pointer: str
):
    answer = await launched(app, request_body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await app.flows.recent("acme", 10) == []


async def test_a_misspelt_input_is_told_beside_the_one_that_is_missing_for_it(app: App):
    answer = await launched(app, {"crew": "haiku", "inputs": {"topc": "rain"}})
    (error,) = answer.json()["errors"]
    assert error == {
        "pointer": "/inputs",
        "detail": "no other properties than: topic, season; required: topic",
    }


@pytest.mark.parametrize("key", ["", "x" * 256, "t\tb", "\x7f"])
async def test_a_key_that_is_none_is_refused(app: App, key: str):
    answer = await launched(app, idempotency_key=key)
    assert answer.status_code == 422
    assert len(answer.content) < 2048


async def test_crews_are_listed_with_the_schema_of_their_inputs(app: App):
    async with app.client(crew_launch) as client:
        answer = await client.get("/v1/crews")
    (crew,) = answer.json()["crews"]
    assert crew["name"] == "haiku"
    assert crew["description"] == "Writes a haiku on a topic."
    assert crew["inputs"]["required"] == ["topic"]
    assert set(crew) == {"name", "description", "inputs"}


async def test_the_list_of_crews_can_be_asked_for_its_head(app: App):
    async with app.client(crew_launch) as client:
        answer = await client.head("/v1/crews")
    assert (answer.status_code, answer.content) == (200, b"")


async def put_in(app: App, content: bytes = b"", query: str = "") -> httpx.Response:
    async with app.client(crew_launch) as client:
        return await client.post(f"/v1/inputs{query}", content=content)


async def test_a_small_input_is_stored_as_it_is_for_its_tenant_alone(app: App):
    content = bytes(range(256))
    answer = await put_in(app, content)
    blob = answer.json()["id"]
    assert answer.status_code == 201
    assert re.fullmatch(r"in_[0-9a-f]{32}", blob)
    assert answer.json()["bytes"] == 256
    with app.blobs.open("acme", blob) as stream:
        assert stream.read() == content


async def test_a_large_input_is_put_where_the_answer_says(app: App):
    answer = await put_in(app, query="?size=500000000")
    upload = answer.json()["upload"]
    assert answer.status_code == 201
    assert upload["method"] == "PUT"
    assert upload["expires_seconds"] == 900
    assert answer.json()["id"] in upload["url"]
    assert "500000000" in upload["url"]


@pytest.mark.parametrize(
    ("content", "query", "status"),
    [
        (b"", "", 422),
        (b"x", "?size=1", 422),
        (b"", "?size=0", 422),
        (b"", f"?size={512 * 1024**2 + 1}", 422),
        (b"", "?size=many", 422),
        (b"x" * (4 * 1024**2 + 1), "", 413),
    ],
)
async def test_an_input_of_the_wrong_size_is_refused(
    app: App, content: bytes, query: str, status: int
):
    answer = await put_in(app, content, query)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2048


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"file": ("a.csv", b"a,b\n1,2\n")}},
        {
            "content": b"a,b1,2",  # as `curl -d @a.csv` sends it
            "headers": {"content-type": "application/X-www-form-urlencoded; charset=utf-8"},
        },
    ],
)
async def test_a_form_is_refused_with_the_command_that_sends_a_file(app: App, sent: dict[str, Any]):
    """An envelope would be taken for the file's first lines; a form has lost its line ends."""
    async with app.client(crew_launch) as client:
        answer = await client.post("/v1/inputs", **sent)
    assert answer.status_code == 415
    assert "curl --data-binary @FILE" in answer.json()["detail"]
    assert not app.blobs._blobs


async def test_an_input_that_is_too_large_is_told_the_other_way(app: App):
    async with app.client(crew_launch) as client:
        answer = await client.post("/v1/inputs", content=b"x" * (crew_launch.INLINE_BYTES + 1))
    assert answer.status_code == 413
    assert "?size=N" in answer.json()["detail"]
