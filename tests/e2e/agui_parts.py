"""Running a crew as an AG-UI front end does: what such a client sends, and how it reads."""

import asyncio
import json
from typing import Any

import httpx
from ag_ui.core import Event as AgUiEvent
from ag_ui.core import RunAgentInput
from ag_ui_validate.pytest_plugin import assert_valid_agui
from httpx_sse import EventSource
from pydantic import TypeAdapter

from core.adapters.memory import MemoryFlows
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from functions import crew_agui
from tests.e2e.apps import LEASE_MS, App

PATH = "/v1/agui/haiku"
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
    found = list(EventSource(answer).iter_sse())
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
        *events.text_start("a1"),
        *events.text_content("a1", "rain "),
        *events.text_content("a1", "falls"),
        *events.text_end("a1"),
        *events.tool_call("c1", "syllables", '{"text":"rain"}'),
        *events.tool_result("c1", "1"),
        *events.text_message("a2", "rain falls"),
    ]
    await flows.emit(claim, 1, LEASE_MS, StepWrite(said))
    await flows.commit(claim, 2, {"output": "Oh"}, StepWrite(events.step_finished("write")))
    await move(flows, Status.SUCCEEDED, events.run_finished(claim.flow, "Oh"), output="Oh")


def kinds(found: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [event["type"] for _, event in found]


def check(found: list[tuple[str, dict[str, Any]]]) -> None:
    """Find nothing wrong with one run, by the protocol's validator."""
    assert_valid_agui([event for _, event in found], features=["shared-state"], max_warnings=0)
