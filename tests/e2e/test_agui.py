"""Running a crew as an AG-UI front end does."""

import asyncio
import json
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import Event as AgUiEvent
from ag_ui.core import RunAgentInput, RunFinishedEvent
from ag_ui_validate.pytest_plugin import assert_valid_agui
from httpx_sse import EventSource
from pydantic import TypeAdapter

from core.adapters.memory import MemoryFlows
from core.crews.definition import Definition, parse
from core.crews.ledger import Claim, StepWrite
from core.errors import InvalidInputError
from core.flows import Status, events
from core.flows.live import BUFFER_EVENTS
from functions import crew_agui
from functions.crew_agui import Run, inputs_of, is_waiting, told, translated
from tests.e2e.apps import (
    HAIKU,
    LEASE_MS,
    App,
    LambdaContext,
    begin,
    end,
    gateway_event,
    opened,
)

PATH = "/v1/agui/haiku"
CREW = parse(HAIKU)
SAID = {"id": "m1", "role": "user", "content": "rain"}


def asked(run: str = "r1", **more: Any) -> dict[str, Any]:
    """What an AG-UI client sends, tools and all."""
    tool = {"name": "confirm", "description": "Ask", "parameters": {"type": "object"}}
    base = {
        "threadId": "t1",
        "runId": run,
        "state": {},
        "messages": [SAID],
        "tools": [tool],
        "context": [{"description": "Language", "value": "en"}],
        "forwardedProps": {},
    }
    body = base | more
    RunAgentInput.model_validate(body)
    return body


async def ran(app: App, body: Any, path: str = PATH) -> httpx.Response:
    async with app.client(crew_agui) as client:
        return await client.post(path, json=body, headers={"accept": "text/event-stream"})


def read(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Every event with its id; one that AG-UI does not know is an error."""
    found = [event for event in EventSource(answer).iter_sse() if event.data]
    for event in found:
        TypeAdapter(AgUiEvent).validate_json(event.data)
    return [(event.id, json.loads(event.data)) for event in found]


async def launched(flows: MemoryFlows) -> str:
    while not (flow := await flows.recent("acme", 1)):  # noqa: ASYNC110 -- it comes over HTTP
        await asyncio.sleep(0.01)
    return flow[0].id


async def claimed(flows: MemoryFlows) -> Claim:
    state = await flows.state("acme", await launched(flows))
    claim = await flows.claim(
        "acme", state.id, state.steps[0], owner="w", lease_ms=LEASE_MS,
        events=events.step_started("write", 1),
    )  # fmt: skip
    assert isinstance(claim, Claim)
    return claim


async def move(flows: MemoryFlows, to: Status, told: list[events.Event], **more: Any) -> None:
    state = await flows.state("acme", await launched(flows))
    await flows.transition(
        "acme", state.id, to, status_epoch=state.status_epoch, events=told, **more
    )


async def work(flows: MemoryFlows) -> None:
    """What a worker does: one step, which says something and calls a tool."""
    claim = await claimed(flows)
    said = [
        *events.text_start("m1"),
        *events.text_content("m1", "rain "),
        *events.text_content("m1", "falls"),
        *events.text_end("m1"),
        *events.tool_call("c1", "syllables", '{"text":"rain"}'),
        *events.tool_result("c1", "1"),
        *events.text_message("m2", "rain falls"),
    ]
    await flows.emit(claim, 1, LEASE_MS, StepWrite(said))
    await flows.commit(claim, 2, {"output": "Oh"}, StepWrite(events.step_finished("write")))
    await move(flows, Status.SUCCEEDED, events.run_finished(claim.flow, "Oh"), output="Oh")


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
    assert found[-1][1]["result"] == "Oh"


async def test_the_validator_of_the_protocol_finds_nothing(app: App):
    answer, _ = await asyncio.gather(ran(app, asked()), work(app.flows))
    told = [event for _, event in read(answer)]
    assert_valid_agui(told, features=["shared-state"], max_warnings=0)


async def test_a_run_that_is_sent_again_is_the_same_flow_from_its_beginning(app: App):
    answer, _ = await asyncio.gather(ran(app, asked()), work(app.flows))
    again = await ran(app, asked())
    assert read(again) == read(answer)
    assert len(await app.flows.recent("acme", 10)) == 1


async def test_another_run_thread_or_tenant_is_another_flow(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.05) as app:
        for run in (asked(), asked("r2"), asked(threadId="t2"), asked("1", threadId="t1 r")):
            await ran(app, run)
        assert len(await app.flows.recent("acme", 10)) == 4
        async with app.client(crew_agui, tenant="rival") as client:
            await client.post(PATH, json=asked())
        assert len(await app.flows.recent("rival", 10)) == 1


async def test_the_same_run_with_other_inputs_is_a_conflict(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.05) as app:
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
    assert (last["message"], last["code"], last["runId"]) == ("no luck", "step", "r1")
    assert cursor.endswith(".4")


WAITING = events.custom(
    "waiting", {"review": "w1", "reason": "person", "message": "Shall it rhyme?"}
)


async def test_a_flow_that_waits_ends_the_run_with_an_interrupt(app: App):
    async def wait() -> None:
        await claimed(app.flows)
        await move(app.flows, Status.WAITING, WAITING)

    answer, _ = await asyncio.gather(ran(app, asked()), wait())
    finished = RunFinishedEvent.model_validate(read(answer)[-1][1])
    assert finished.outcome is not None
    assert finished.outcome.type == "interrupt"
    (interrupt,) = finished.outcome.interrupts
    assert (interrupt.id, interrupt.reason) == ("w1", "person")
    assert interrupt.message == "Shall it rhyme?"
    assert interrupt.metadata == WAITING[0]["value"]


async def test_a_wait_that_is_over_does_not_end_the_run(app: App):
    async def wait_and_go_on() -> None:
        claim = await claimed(app.flows)
        await move(app.flows, Status.WAITING, WAITING)
        await move(app.flows, Status.RUNNING, events.custom("resumed", {}))
        await move(app.flows, Status.SUCCEEDED, events.run_finished(claim.flow, 1), output=1)

    await asyncio.gather(ran(app, asked()), wait_and_go_on())
    kinds = [event["type"] for _, event in read(await ran(app, asked()))]
    assert kinds.count("RUN_FINISHED") == 1
    assert kinds.count("CUSTOM") == 2
    assert kinds[-1] == "RUN_FINISHED"


async def test_a_stream_whose_time_is_up_says_that_the_flow_goes_on(tmp_path: Path):
    with opened(tmp_path, stream_seconds=0.2) as app:
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
    assert app.flows._records["acme", flow].viewers == []
    await work(app.flows)
    assert read(await ran(app, asked()))[-1][1]["type"] == "RUN_FINISHED"


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ({"forwardedProps": {"inputs": {"topic": "snow"}}}, {"topic": "snow"}),
        ({"state": {"inputs": {"topic": "fog"}}}, {"topic": "fog"}),
        ({"messages": [SAID, {"id": "m2", "role": "assistant", "content": "Oh"}]}, {"topic": "rain"}),
        (
            {"messages": [SAID, {"id": "m2", "role": "user", "content": [{"type": "text", "text": "ice"}]}]},
            {"topic": "ice"},
        ),
        ({"state": {"id": "fl_1", "status": "succeeded"}}, {"topic": "rain"}),
    ],
)  # fmt: skip
def test_inputs_come_from_where_a_client_can_put_them(more: dict[str, Any], inputs: dict[str, Any]):
    assert inputs_of(Run.model_validate(asked(**more)), CREW) == inputs


def test_a_crew_that_wants_nothing_gets_nothing():
    crew = Definition.model_validate(CREW.model_dump() | {"tasks": _tasks(), "inputs": {}})
    assert inputs_of(Run.model_validate(asked()), crew) == {}


def _tasks() -> dict[str, Any]:
    return {"write": {"description": "Write", "expected_output": "A haiku", "agent": "poet"}}


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"messages": []}, "/forwardedProps/inputs"),
        ({"messages": [{"id": "m", "role": "user", "content": ""}]}, "/forwardedProps/inputs"),
        ({"forwardedProps": {"inputs": "rain"}}, "/forwardedProps/inputs"),
        ({"state": {"inputs": []}}, "/state/inputs"),
    ],
)
def test_a_run_without_inputs_is_told_where_to_put_them(more: dict[str, Any], pointer: str):
    with pytest.raises(InvalidInputError) as caught:
        inputs_of(Run.model_validate(asked(**more)), CREW)
    assert list(caught.value.pointers) == [pointer]


def test_a_message_is_no_input_where_a_crew_wants_more_than_one_text():
    schema = {
        "type": "object",
        "required": ["topic", "season"],
        "properties": {"topic": {"type": "string"}, "season": {"type": "string"}},
    }
    crew = Definition.model_validate(CREW.model_dump() | {"inputs": schema})
    with pytest.raises(InvalidInputError, match="does not say") as caught:
        inputs_of(Run.model_validate(asked()), crew)
    assert caught.value.pointers == {
        "/forwardedProps/inputs": "must be an object with: topic, season"
    }


RESUME = [{"interruptId": "w1", "status": "resolved", "payload": True}]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/agui/nope", asked(), 404),
        (PATH, {"threadId": "t1"}, 422),
        (PATH, {"threadId": "", "runId": "r", "messages": []}, 422),
        (PATH, ["threadId"], 422),
        (PATH, asked(resume=RESUME), 422),
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
    from functions._app import on_lambda  # noqa: PLC0415 -- what no deployment does with this function

    headers = app.bearer() | {"content-type": "application/json"}
    event = gateway_event("POST", PATH, headers, json.dumps(asked()).encode())
    answer = on_lambda(crew_agui.app)(event, LambdaContext())
    assert answer["statusCode"] == 501
    assert "POST /v1/flows" in json.loads(answer["body"])["detail"]


async def test_a_reader_who_is_too_slow_for_the_hub_still_misses_nothing(app: App):
    claim = await begin(app.flows)
    async with aclosing(crew_agui._log("acme", "f1", lambda: 5.0)) as log:
        cursors = [(await anext(log))[0]]
        for seq in range(1, 4):
            await app.flows.emit(
                claim, seq, LEASE_MS, StepWrite(events.custom("count", seq) * (BUFFER_EVENTS // 2))
            )
            await asyncio.sleep(0.01)  # the hub takes these; nobody reads them
        await end(app.flows)
        rest = [(cursor, event) async for cursor, event in log]
    cursors += [cursor for cursor, _ in rest]
    head = await app.flows.head("acme", "f1")
    assert cursors == [head.cursor(n) for n in range(1, head.sequence + 1)]
    assert sum('"STATE_SNAPSHOT"' in event for _, event in rest) == 1


async def test_a_log_whose_beginning_is_gone_is_given_one(app: App):
    await asyncio.gather(ran(app, asked()), work(app.flows))
    flow = await app.flows.snapshot("acme", await launched(app.flows))
    found = [json.loads(event) for _, event in told(flow.head, flow, first=True)]
    assert [event["type"] for event in found] == ["RUN_STARTED", "STATE_SNAPSHOT", "RUN_FINISHED"]
    assert {cursor for cursor, _ in told(flow.head, flow, first=True)} == {flow.head.cursor()}
    assert [json.loads(e)["type"] for _, e in told(flow.head, flow, first=False)] == [
        "STATE_SNAPSHOT"
    ]


def test_only_what_names_the_run_is_told_in_other_words():
    run = Run.model_validate(asked())
    for event in (events.custom("waiting", {}), events.step_started("one", 1)):
        text = events.encode(event[0])
        assert translated(text, run, "i.1", waits=False) == text
    started = json.loads(
        translated(events.encode(events.run_started("f")[0]), run, "i.1", waits=False)
    )
    assert started == {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1"}


@pytest.mark.parametrize("value", [{}, "budget", None, {"reason": "budget"}])
def test_a_wait_that_says_little_still_makes_a_whole_interrupt(value: Any):
    text = events.encode(events.custom("waiting", value)[0])
    assert is_waiting(text)
    ended = json.loads(translated(text, Run.model_validate(asked()), "i.7", waits=True))
    RunFinishedEvent.model_validate(ended)
    (interrupt,) = ended["outcome"]["interrupts"]
    assert interrupt["id"] == "i.7"
    assert re.fullmatch("waiting|budget|None", interrupt["reason"])
