"""A real server of AG-UI runs with one worker and real CrewAI behind it, for clients in JavaScript."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from core.adapters.memory import MemoryBlobs, MemoryCallLedger
from core.crews.clock import NoLimit
from core.crews.timing import Timing
from core.flows import Status
from crews.tools import GUARDRAILS, SKILLS, TOOLS
from functions import crew_agui
from infra.local.processes import free_port
from tests.crewai_parts import CataloguePriceBook, CrewAIRunner
from tests.e2e.apps import App, opened
from tests.fixtures_js import NodeRun

from core.adapters.offline.model import OfflineModel  # isort: skip -- the environment comes first
from tests.workers import worker_over

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
        TOOLS, GUARDRAILS, CataloguePriceBook(), MemoryBlobs(),
    )  # fmt: skip
    calls, flows = MemoryCallLedger(app.flows), app.flows
    worker = worker_over(flows, calls, flows, runner, Timing(30, 10, 60))
    while True:
        for flow in await flows.recent("acme", 10):
            if flow.status in BUSY:
                await worker.run_flow("acme", flow.id, NoLimit())
        await asyncio.sleep(0.02)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
