"""A launch sent again under its key is answered as before, whatever has changed since."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from functions import crew_agui, crew_amp, crew_launch
from tests.crew_folders import with_crew
from tests.e2e.agui_parts import read
from tests.e2e.apps import App, opened
from tests.webhook_parts import SECRET

UPLOAD = "in_" + "0" * 32
HAIKU, SNOW = {"topic": "rain"}, {"topic": "snow"}
READS = """
name: reads
description: Reads a file.
process: sequential
inputs:
  type: object
  additionalProperties: false
  required: [file]
  properties:
    file: {type: string, format: crewline-input}
agents:
  one: {role: One, goal: Read, backstory: Reads}
tasks:
  look: {description: Look, expected_output: A word, agent: one}
"""
HOSTS = {"acme": ("hooks.example.com",)}
KEY = {"idempotency-key": "k"}
RUN = {"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": []}


def message(text: str) -> dict[str, Any]:
    return {"messages": [{"id": "m1", "role": "user", "content": text}]}


HOOKED = {"inputs": HAIKU, "crewWebhookUrl": "https://hooks.example.com/done"}
Request = tuple[ModuleType, str, dict[str, Any]]

LAUNCHES: dict[str, Request] = {
    "a flow": (crew_launch, "/v1/flows", {"crew": "haiku", "inputs": HAIKU}),
    "a kickoff": (crew_amp, "/amp/haiku/kickoff", {"inputs": HAIKU}),
    "a run": (crew_agui, "/v1/agui/haiku", RUN | {"forwardedProps": {"inputs": HAIKU}}),
    "a run of a text": (crew_agui, "/v1/agui/haiku", RUN | message("rain")),
}
OTHER: dict[str, dict[str, Any]] = {
    "a flow": {"inputs": SNOW},
    "a kickoff": {"inputs": SNOW},
    "a run": {"forwardedProps": {"inputs": SNOW}},
    "a run of a text": message("snow"),
}
OF_UPLOADS: dict[str, Request] = {
    "a flow": (crew_launch, "/v1/flows", {"crew": "reads", "inputs": {"file": UPLOAD}}),
    "a kickoff": (crew_amp, "/amp/reads/kickoff", {"inputs": {"file": UPLOAD}}),
    "a run": (crew_agui, "/v1/agui/reads", RUN | {"forwardedProps": {"inputs": {"file": UPLOAD}}}),
    "a run of a text": (
        crew_agui,
        "/v1/agui/reads",
        RUN | message(UPLOAD),
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with_crew(tmp_path, "reads", READS)
    return tmp_path


@pytest.fixture
def app(folder: Path) -> Iterator[App]:
    settings = {"webhook_hosts": HOSTS, "webhook_secrets": (SECRET,), "agui_seconds": 0.1}
    with opened(folder, **settings) as app:
        app.blobs.put("acme", UPLOAD, b"a,b", "text/csv")
        yield app


async def sent(app: App, request: Request, **other: Any) -> httpx.Response:
    function, path, body = request
    async with app.client(function) as client:
        return await client.post(path, json=body | other, headers=KEY)


async def flows(app: App) -> list[str]:
    return [flow.id for flow in await app.flows.recent("acme", 10)]


def said(answer: httpx.Response) -> Any:
    """Return what an answer says of its flow; that of a run begins with the flow's state."""
    if answer.headers["content-type"] != "text/event-stream":
        return answer.status_code, answer.json()
    assert answer.status_code == 200
    (state,) = [e["snapshot"] for _, e in read(answer) if e["type"] == "STATE_SNAPSHOT"]
    return state["flow"]["id"]


def removed(folder: Path) -> None:
    shutil.rmtree(folder / "haiku")


def rewritten(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "haiku" / "crew.yaml"
        assert old in path.read_text()
        with_crew(folder, "haiku", path.read_text().replace(old, new))

    return change


DEPLOYS = {
    "is gone": removed,
    "is broken": rewritten("process: sequential", "process: circular"),
    "takes less": rewritten("maxLength: 40", "maxLength: 3"),
    "takes something else": rewritten("topic", "subject"),
}


@pytest.mark.parametrize("deploy", DEPLOYS)
@pytest.mark.parametrize("name", LAUNCHES)
async def test_though_a_deploy_has_changed_the_crew(
    app: App, tmp_path_factory: pytest.TempPathFactory, name: str, deploy: str
):
    first = said(await sent(app, LAUNCHES[name]))
    made = await flows(app)
    later = tmp_path_factory.mktemp("later")
    with opened(later, app.flows, agui_seconds=0.1) as after:
        DEPLOYS[deploy](later)
        assert said(await sent(after, LAUNCHES[name])) == first
        assert (await sent(after, LAUNCHES[name], **OTHER[name])).status_code == 409
        assert await flows(after) == made


@pytest.mark.parametrize("name", OF_UPLOADS)
async def test_though_its_upload_is_gone(app: App, name: str):
    first = said(await sent(app, OF_UPLOADS[name]))
    app.blobs.delete("acme", UPLOAD)
    assert said(await sent(app, OF_UPLOADS[name])) == first
    assert len(await flows(app)) == 1


async def test_though_its_webhooks_host_is_gone(app: App, tmp_path_factory: pytest.TempPathFactory):
    kickoff = (crew_amp, "/amp/haiku/kickoff", HOOKED)
    first = said(await sent(app, kickoff))
    with opened(tmp_path_factory.mktemp("later"), app.flows) as after:
        assert said(await sent(after, kickoff)) == first
        other = "https://hooks.example.com/other"
        assert (await sent(after, kickoff, crewWebhookUrl=other)).status_code == 409


@pytest.mark.parametrize("name", OF_UPLOADS)
async def test_what_was_never_launched_is_refused_as_without_a_key(app: App, name: str):
    app.blobs.delete("acme", UPLOAD)
    assert (await sent(app, OF_UPLOADS[name])).status_code == 422
    assert await flows(app) == []
