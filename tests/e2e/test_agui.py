"""Running a crew as an AG-UI front end does."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from ag_ui.core import PROTOCOL_VERSION

from core.crews.ledger import StepWrite
from core.flows import Entry, Status, events
from core.flows.subscription import BUFFER_EVENTS
from functions import crew_agui
from tests.e2e.agui_parts import (
    PATH,
    asked,
    check,
    claimed,
    kinds,
    launched,
    move,
    ran,
    read,
    work,
)
from tests.e2e.apps import LEASE_MS, App, LambdaContext, begin, end, gateway_event, opened


async def test_a_run_is_a_flow_told_in_the_words_of_the_client(app: App):
    answer, _ = await asyncio.gather(ran(app, asked()), work(app.flows))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = read(answer)
    head = await app.flows.head("acme", await launched(app.flows))
    assert [cursor for cursor, _ in found] == [head.cursor(n) for n in range(1, len(found) + 1)]
    kinds = [event["type"] for _, event in found]
    assert kinds[:3] == ["RUN_STARTED", "STATE_SNAPSHOT", "STATE_DELTA"]
    assert kinds[-1] == "RUN_FINISHED"
    for event in (found[0][1], found[-1][1]):
        assert (event["threadId"], event["runId"]) == ("t1", "r1")
    assert found[0][1]["protocolVersion"] == PROTOCOL_VERSION
    assert found[-1][1]["result"] == "Oh"


async def test_the_validator_of_the_protocol_finds_nothing(app: App):
    answer, _ = await asyncio.gather(ran(app, asked()), work(app.flows))
    check(read(answer))


async def test_the_flow_stands_beside_what_the_application_keeps_in_the_state(app: App):
    mine = {"inputs": {"topic": "fog"}, "theme": "dark", "flow": {"id": "of the run before"}}
    answer, _ = await asyncio.gather(ran(app, asked(state=mine)), work(app.flows))
    state: Any = {}
    for _, event in read(answer):
        delta = event["delta"] if event["type"] == "STATE_DELTA" else []
        state = jsonpatch.apply_patch(event.get("snapshot", state), delta)
    flow = await app.flows.snapshot("acme", await launched(app.flows))
    assert state == {"inputs": {"topic": "fog"}, "theme": "dark", "flow": flow.public()}


@pytest.mark.parametrize("state", [None, [], "text", 0])
async def test_a_state_that_is_no_object_makes_room_for_the_flow(tmp_path: Path, state: Any):
    with opened(tmp_path, agui_seconds=0.05) as app:
        found = read(await ran(app, asked(state=state)))
    assert found[1][1]["snapshot"].keys() == {"flow"}


async def test_another_run_thread_or_tenant_is_another_flow(tmp_path: Path):
    with opened(tmp_path, agui_seconds=0.05) as app:
        for run in (asked(), asked("r2"), asked(threadId="t2"), asked("1", threadId="t1 r")):
            await ran(app, run)
        assert len(await app.flows.recent("acme", 10)) == 4
        async with app.client(crew_agui, tenant="rival") as client:
            await client.post(PATH, json=asked())
        assert len(await app.flows.recent("rival", 10)) == 1


async def test_the_same_run_with_other_inputs_is_a_conflict(tmp_path: Path):
    with opened(tmp_path, agui_seconds=0.05) as app:
        await ran(app, asked())
        answer = await ran(app, asked(forwardedProps={"inputs": {"topic": "snow"}}))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_flow_that_fails_is_a_run_that_fails(app: App):
    async def fail() -> None:
        await launched(app.flows)
        await move(app.flows, Status.FAILED, events.run_error("no luck", "step"), error="no luck")

    answer, _ = await asyncio.gather(ran(app, asked()), fail())
    cursor, last = read(answer)[-1]
    assert last["type"] == "RUN_ERROR"
    assert (last["message"], last["code"]) == ("no luck", "step")
    assert not last.keys() & {"threadId", "runId"}  # RUN_ERROR has none
    assert cursor.endswith(".4")


async def test_a_stream_whose_time_is_up_says_that_the_flow_goes_on(tmp_path: Path):
    with opened(tmp_path, agui_seconds=0.2) as app:
        found = read(await ran(app, asked()))
        flow = await launched(app.flows)
        assert not (await app.flows.head("acme", flow)).status.terminal
    assert [event["type"] for _, event in found] == ["RUN_STARTED", "STATE_SNAPSHOT", "RUN_ERROR"]
    assert found[-1][1]["code"] == "stream_over"
    assert found[-1][0] == found[-2][0]


async def test_a_client_that_leaves_does_not_end_the_flow(app: App):
    begun = asyncio.Event()
    body = json.dumps(asked()).encode()
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        if message := next(sent, None):
            return message
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if b"RUN_STARTED" in message.get("body", b""):
            begun.set()

    headers = app.bearer() | {"content-type": "application/json"}
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(),
        "query_string": b"", "headers": lines, "root_path": "", "scheme": "http",
        "server": ("test", 80), "client": ("test", 1), "http_version": "1.1",
    }  # fmt: skip
    async with asyncio.timeout(1):
        await crew_agui.app(scope, receive, send)
    flow = await launched(app.flows)
    assert (await app.flows.head("acme", flow)).status is Status.QUEUED
    assert app.flows.subscribers("acme", flow) == 0
    await work(app.flows)
    assert read(await ran(app, asked()))[-1][1]["type"] == "RUN_FINISHED"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/agui/nope", asked(), 404),
        (PATH, {"threadId": "t1"}, 422),
        (PATH, {"threadId": "", "runId": "r", "messages": []}, 422),
        (PATH, ["threadId"], 422),
        (PATH, asked(forwardedProps={"inputs": {"topic": "x" * 41}}), 422),
    ],
)
async def test_what_cannot_be_run_is_a_problem(app: App, path: str, body: Any, status: int):
    answer = await ran(app, body, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await app.flows.recent("acme", 1) == []


@pytest.mark.parametrize("scope", ["flows:read", "flows:write"])
async def test_it_takes_the_right_to_launch_and_to_read(app: App, scope: str):
    async with app.client(crew_agui, scopes=[scope]) as client:
        assert (await client.post(PATH, json=asked())).status_code == 403
    assert await app.flows.recent("acme", 1) == []


def test_a_host_that_does_not_stream_says_so(app: App):
    from functions._http.apps import on_lambda  # noqa: PLC0415 -- what no deployment does with this function

    headers = app.bearer() | {"content-type": "application/json"}
    event = gateway_event("POST", PATH, headers, json.dumps(asked()).encode())
    answer = on_lambda(crew_agui.app)(event, LambdaContext())
    assert answer["statusCode"] == 501
    assert "POST /v1/flows" in json.loads(answer["body"])["detail"]


async def test_a_run_is_not_cut_where_other_streams_are(tmp_path: Path):
    async def work_later() -> None:
        await launched(app.flows)
        await asyncio.sleep(0.3)
        await work(app.flows)

    with opened(tmp_path, stream_seconds=0.1) as app:
        answer, _ = await asyncio.gather(ran(app, asked()), work_later())
    assert kinds(read(answer))[-1] == "RUN_FINISHED"


async def test_a_cancelled_flow_is_a_cancelled_run_and_nothing_stays_open(app: App):
    async def cancel() -> None:
        claim = await claimed(app.flows)
        begun = [*events.text_start("a1"), *events.text_content("a1", "rai")]
        await app.flows.emit(claim, 1, LEASE_MS, StepWrite(begun, "a1"))
        error = events.run_error("cancelled by request", "cancelled")
        await move(app.flows, Status.CANCELLED, error, error="cancelled by request")

    answer, _ = await asyncio.gather(ran(app, asked()), cancel())
    found = read(answer)
    check(found)
    ends = [kind for kind in kinds(found) if kind != "STATE_DELTA"]
    assert ends[-3:] == ["TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED"]
    assert found[-1][1]["outcome"] == {"type": "cancelled"}


async def test_a_reader_who_is_too_slow_for_the_hub_still_misses_nothing(app: App):
    claim = await begin(app.flows)
    source = crew_agui.Source("acme", "f1")
    async with aclosing(crew_agui._log(source, lambda: 5.0)) as log:
        cursors = [(await anext(log))[0]]
        for seq in range(1, 4):
            await app.flows.emit(
                claim, seq, LEASE_MS, StepWrite(events.custom("count", seq) * (BUFFER_EVENTS // 2))
            )
            await asyncio.sleep(0.01)  # the hub takes these; nobody reads them
        await end(app.flows)
        rest = [(cursor, item) async for cursor, item in log]
    cursors += [cursor for cursor, _ in rest]
    head = await app.flows.head("acme", "f1")
    assert cursors == [head.cursor(n) for n in range(1, head.last_event + 1)]
    assert all(isinstance(item, Entry) for _, item in rest)
