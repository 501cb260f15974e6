"""Conversations through AG-UI's own client for JavaScript, over a real server, with real CrewAI."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import uvicorn

from core import bootstrap
from core.adapters.memory import MemoryBlobs, MemoryBudgetBook
from core.crews import control
from core.crews.clock import NoLimit
from core.crews.lessons import NoLessons
from core.crews.run import Worker
from core.crews.run_step import Timing
from core.flows import Status
from crews.tools import GUARDRAILS, SKILLS, TOOLS
from functions import crew_agui
from infra.local.processes import free_port
from tests.crewai_parts import CrewAIRunner, GenaiPriceBook
from tests.e2e.apps import App, opened
from tests.fixtures_js import NodeRun

from core.adapters.offline_model import OfflineModel  # isort: skip -- the environment comes first

CREWS = ("research_brief", "research_brief_approved")
BRIEF = json.loads(Path("crews/research_brief/examples/ferry.json").read_text())
BUSY = (Status.QUEUED, Status.RUNNING)


class SlowModel(OfflineModel):
    """A model that says an answer piece by piece, with a pause before each."""

    pause_seconds: float

    def __init__(self, pause_seconds: float) -> None:
        super().__init__([haiku, *SKILLS], stream=True, pause_seconds=pause_seconds)

    def _emit_stream_chunk_event(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(self.pause_seconds)
        return super()._emit_stream_chunk_event(*args, **kwargs)


def haiku(prompt: str) -> str | None:
    """Answer the crew that writes haikus with its topic."""
    topic = prompt.partition("Write on ")[2].partition(" in ")[0]
    return f"A haiku of many words on {topic}, which falls and falls and falls." if topic else None


@dataclass
class Server:
    """A server with one worker behind it, and a browser's application in front of it."""

    app: App
    url: str
    run_node: NodeRun

    async def talk(self, crew: str, *turns: dict[str, Any], state: Any = None) -> list[Any]:
        """Return what the application saw after each turn."""
        url = f"{self.url}/v1/agui/{crew}"
        wanted = {"url": url, "headers": self.app.bearer(), "state": state or {}, "turns": turns}
        done = await asyncio.to_thread(self.run_node, "agui.mjs", json.dumps(wanted))
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    async def flow_that_is(self, status: Status) -> str:
        """Return the newest flow, once it has this status."""
        flows = self.app.flows
        while not (f := await flows.recent("acme", 1)) or f[0].status is not status:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)
        return f[0].id


@pytest.fixture
async def serve(tmp_path: Path, run_node: NodeRun) -> AsyncIterator[Callable[..., Any]]:
    """Start a server: `await serve(pause_seconds=0.1, agui_seconds=0.5)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(pause_seconds: float = 0.0, **settings: Any) -> Server:
            for crew in CREWS:
                shutil.copytree(f"crews/{crew}", tmp_path / crew)
            app = stack.enter_context(opened(tmp_path, **settings))
            url = await stack.enter_async_context(serving())
            work = asyncio.create_task(working(app, pause_seconds))
            stack.push_async_callback(ended, work)
            return Server(app, url, run_node)

        yield start


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    port = free_port()
    config = uvicorn.Config(crew_agui.app, port=port, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    with contextlib.ExitStack() as stack:
        server.capture_signals = lambda: stack  # pyright: ignore[reportAttributeAccessIssue] -- pytest's stay
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no other word
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = server.force_exit = True
        await task


async def working(app: App, pause_seconds: float) -> None:
    """Run whatever can run, one flow after the other."""
    runner = CrewAIRunner(
        lambda: SlowModel(pause_seconds),
        TOOLS, GUARDRAILS, GenaiPriceBook(), MemoryBlobs(),
    )  # fmt: skip
    book, flows = MemoryBudgetBook(app.flows), app.flows
    worker = Worker(flows, book, flows, runner, NoLessons(), Timing(30, 10, 60))
    while True:
        for flow in await flows.recent("acme", 10):
            if flow.status in BUSY:
                await worker.run_flow("acme", flow.id, NoLimit())
        await asyncio.sleep(0.02)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def told(seen: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message.get("content", "")) for message in seen["messages"]]


def answer_to(topic: str) -> tuple[str, str]:
    return ("assistant", str(haiku(f"Write on {topic} in autumn")))


async def test_three_turns_of_a_conversation_arrive_whole_and_in_order(serve: Any):
    server = await serve()
    turns = await server.talk("haiku", *({"say": topic} for topic in ("rain", "snow", "fog")))
    expected: list[tuple[str, str]] = []
    for topic, seen in zip(("rain", "snow", "fog"), turns, strict=True):
        expected += [("user", topic), answer_to(topic)]
        assert told(seen) == expected
        assert [m["content"] for m in seen["newMessages"]] == [answer_to(topic)[1]]
        assert (seen["outcome"], seen["result"]) == ("success", answer_to(topic)[1])
        assert seen["warnings"] == []
        assert seen["state"]["flow"]["status"] == "succeeded"


async def test_a_run_lasts_longer_than_other_streams_may(serve: Any):
    server = await serve(pause_seconds=0.2, stream_seconds=0.3)
    (seen,) = await server.talk("haiku", {"say": "rain"})
    assert (seen["outcome"], seen["warnings"]) == ("success", [])
    assert told(seen) == [("user", "rain"), answer_to("rain")]


async def test_a_run_sent_again_until_it_ends_shows_every_message_once(serve: Any):
    server = await serve(pause_seconds=0.25, agui_seconds=0.5)
    again = [{"runId": "r1"} for _ in range(8)]
    turns = await server.talk("haiku", {"say": "rain", "runId": "r1"}, *again)
    assert [seen.get("code") for seen in turns[:2]] == ["stream_over", "stream_over"]
    for seen in turns[1:]:
        assert seen["events"][:3] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT"]
        assert seen["warnings"] == []
        said = dict(told(seen)).get("assistant", "")
        assert answer_to("rain")[1].startswith(said)
    assert turns[-1]["outcome"] == "success"
    assert told(turns[-1]) == [("user", "rain"), answer_to("rain")]
    assert len(await server.app.flows.recent("acme", 10)) == 1


async def test_an_interrupt_is_sent_back_with_feedback_and_then_approved(serve: Any):
    server = await serve()
    back = {"approve": False, "feedback": "Say when."}
    first, second, third, fourth = await server.talk(
        "research_brief_approved",
        {},
        {"answer": {"status": "resolved", "payload": back}},
        {"answer": {"status": "resolved", "payload": {"approve": True}}},
        {"say": "thanks"},
        state={"inputs": BRIEF, "theme": "dark"},
    )
    for seen in (first, second):
        assert seen["outcome"] == "interrupt"
        (interrupt,) = seen["pendingInterrupts"]
        assert interrupt["message"]
        jsonschema.validate(back, interrupt["responseSchema"])
    assert first["pendingInterrupts"][0]["id"] != second["pendingInterrupts"][0]["id"]
    assert (third["outcome"], third["pendingInterrupts"]) == ("success", [])
    assert third["state"]["flow"]["status"] == "succeeded"
    kept = [told(seen) for seen in (first, second, third)]
    assert kept[1][: len(kept[0])] == kept[0]
    assert kept[2][: len(kept[1])] == kept[1]
    assert len(kept[1]) > len(kept[0])
    assert len({m["id"] for m in third["messages"]}) == len(third["messages"])
    assert fourth["outcome"] == "interrupt"  # the same inputs again, from the state
    flows = await server.app.flows.recent("acme", 10)
    assert [flow.status for flow in flows] == [Status.WAITING, Status.SUCCEEDED]
    assert all(seen["warnings"] == [] for seen in (first, second, third, fourth))


async def test_a_dismissed_interrupt_cancels_the_flow_and_frees_the_thread(serve: Any):
    server = await serve()
    first, second, third = await server.talk(
        "research_brief_approved",
        {},
        {"answer": {"status": "cancelled"}},
        {"say": "once more"},
        state={"inputs": BRIEF},
    )
    assert first["outcome"] == "interrupt"
    assert (second["outcome"], second["pendingInterrupts"]) == ("cancelled", [])
    assert (third["outcome"], third["warnings"]) == ("interrupt", [])


async def test_an_answer_against_anothers_is_an_error_that_can_be_left_behind(serve: Any):
    server = await serve()
    yes, no = ({"approve": True}, {"approve": False, "feedback": "Say when."})

    async def another_answers() -> None:
        flow = await server.flow_that_is(Status.WAITING)
        ledger, wake_queue = bootstrap.ledger(), bootstrap.wake_queue()
        waiting = (await ledger.state("acme", flow)).waiting
        assert waiting is not None
        said: dict[str, Any] = {**no, "review": waiting["review"]}
        await control.resume(ledger, wake_queue, tenant="acme", flow=flow, **said)

    turns, _ = await asyncio.gather(
        server.talk(
            "research_brief_approved",
            {},
            {"answer": {"status": "resolved", "payload": yes}, "after_seconds": 1},
            {"answer": {"status": "cancelled"}},
            {"answer": {"status": "resolved", "payload": {"approve": "perhaps"}}},
            {"answer": {"status": "resolved", "payload": yes}},
            state={"inputs": BRIEF},
        ),
        another_answers(),
    )
    first, refused, second, wrong, last = turns
    assert "HTTP 409" in refused["error"]
    assert (first["outcome"], second["outcome"]) == ("interrupt", "interrupt")
    assert first["pendingInterrupts"] != second["pendingInterrupts"]
    assert "HTTP 422" in wrong["error"]
    assert "/resume/0/payload/approve" in wrong["error"]
    assert (last["outcome"], last["pendingInterrupts"]) == ("success", [])


async def test_the_inputs_in_the_state_serve_every_turn(serve: Any):
    server = await serve()
    state = {"inputs": BRIEF, "theme": "dark"}
    turns = await server.talk("research_brief", {}, {"say": "once more"}, state=state)
    for seen in turns:
        assert (seen["outcome"], seen["warnings"]) == ("success", [])
        assert {key: seen["state"][key] for key in state} == state
    assert len({seen["state"]["flow"]["id"] for seen in turns}) == 2
    assert len(turns[1]["newMessages"]) == len(turns[0]["newMessages"]) > 0


async def test_a_cancelled_flow_ends_the_run_as_cancelled(serve: Any):
    server = await serve(pause_seconds=0.2)

    async def cancel() -> None:
        flow = await server.flow_that_is(Status.RUNNING)
        await asyncio.sleep(0.5)  # it is in the middle of a message
        await control.cancel(bootstrap.ledger(), tenant="acme", flow=flow)

    (seen,), _ = await asyncio.gather(server.talk("haiku", {"say": "rain"}), cancel())
    assert (seen["outcome"], seen["warnings"]) == ("cancelled", [])
    assert "error" not in seen
