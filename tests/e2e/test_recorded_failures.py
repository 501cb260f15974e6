"""What goes wrong is told in valid AG-UI too: in the log, to a run's client, and when it comes back.

Real CrewAI runs a crew of one task over both ledgers, while its model breaks off or is slow, its
guardrail refuses, its worker is lost, its flow is cancelled or out of time.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from core import bootstrap
from core.adapters.memory import MemoryBlobs
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.definition import Registry
from core.crews.ledger import Claim, FencedError, StepWrite
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows import Status
from core.flows.hub import Hub
from functions import crew_agui
from tests.crew_folders import with_crew
from tests.crewai_parts import CataloguePriceBook, CrewAIRunner
from tests.e2e.agui_parts import asked, check, read
from tests.e2e.apps import App, opened
from tests.fixtures_ports import Flows

from core.adapters.offline.model import OfflineModel  # isort: skip -- the environment comes first
from tests.workers import worker_over

CREW = """
name: one
description: Answers.
process: sequential
inputs: {type: object, required: [topic], properties: {topic: {type: string}}}
agents: {poet: {role: Poet, goal: Write, backstory: Wrote}}
limits: {max_attempts: 2, LIMIT}
tasks: {write: {description: "Write on {topic}", expected_output: A haiku, agent: poet, TASK}}
"""
PAUSE_SECONDS = 0.25  # before each piece of an answer; it has six
LEASE_SECONDS = 0.9
STORY_SECONDS = 30
TEXT = "A haiku of many words, which falls and falls and falls until it ends."


class Breaking(OfflineModel):
    """A slow model that breaks off before its third piece, in the calls of which it is told so."""

    breaks: list[bool]

    def __init__(self, breaks: Iterable[bool]) -> None:
        super().__init__([lambda _prompt: TEXT], stream=True, breaks=list(breaks))

    def _emit_stream_chunk_event(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(PAUSE_SECONDS)
        super()._emit_stream_chunk_event(*args, **kwargs)
        if self.breaks and self.breaks[0]:
            self.breaks.pop(0)
            raise ValueError("the model broke off")


def refuse(_output: Any, _inputs: Any) -> str:
    """Take no answer."""
    return "not good enough"


class LostWorker:
    """A ledger for a worker that is gone once a piece of a message is written: no answer comes."""

    def __init__(self, flows: Flows) -> None:
        self._ledger = flows.ledger
        self.is_lost, self.is_over = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        number = await self._ledger.emit(claim, seq, lease_ms, write)
        if write.message is not None:
            self.is_lost.set()
            await self.is_over.wait()
            raise FencedError
        return number


@dataclass
class Stage:
    """A flow that is run while a client looks on."""

    app: App
    flows: Flows
    model: OfflineModel

    def worker(self, ledger: Any = None) -> Worker:
        guardrails: dict[str, Any] = {"refuse": refuse}
        runner = CrewAIRunner(
            self.model.model_copy, {}, guardrails, CataloguePriceBook(), MemoryBlobs()
        )
        timing = Timing(LEASE_SECONDS, LEASE_SECONDS / 3, 1)
        flows = self.flows
        return worker_over(ledger or flows.ledger, flows.calls, flows.wake_queue, runner, timing)

    async def flow(self) -> str:
        """Return the flow's id, once it was launched."""
        while not (found := await self.flows.log.recent(self.flows.tenant, 1)):  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)
        return found[0].id

    async def log(self) -> list[dict[str, Any]]:
        entries = await self.flows.log.entries(self.flows.tenant, await self.flow(), 0, 10_000)
        return [json.loads(entry.json) for entry in entries]

    async def run(self, ledger: Any = None) -> None:
        """Run the flow in one worker until that is done with it."""
        await self.worker(ledger).run_flow(self.flows.tenant, await self.flow(), NoLimit())

    async def lose_a_worker(self) -> None:
        """Run the flow until its worker is gone, in the middle of a message; let its lease end."""
        ledger = LostWorker(self.flows)
        task = asyncio.create_task(self.run(ledger))
        await ledger.is_lost.wait()
        await asyncio.sleep(LEASE_SECONDS + 0.1)
        ledger.is_over.set()
        await task

    async def in_a_message(self) -> None:
        while not any(e["type"] == "TEXT_MESSAGE_CONTENT" for e in await self.log()):  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)

    async def cancel(self) -> None:
        await self.in_a_message()
        await FlowControl(self.flows.ledger, self.flows.wake_queue).cancel(
            tenant=self.flows.tenant, flow=await self.flow()
        )

    async def ask(self, run: str = "r1") -> list[tuple[str, dict[str, Any]]]:
        """Return what a client of the crew is sent."""
        async with self.app.client(crew_agui, tenant=self.flows.tenant) as client:
            return read(await client.post("/v1/agui/one", json=asked(run)))


async def staged(
    folder: Path,
    flows: Flows,
    story: Callable[[Stage], Awaitable[Any]],
    *,
    task: str = "",
    limit: str = "",
    breaks: Iterable[bool] = (),
) -> tuple[Stage, list[dict[str, Any]]]:
    """Have a story happen to a flow; return its log. All that was sent meanwhile is checked."""
    model = Breaking(breaks)
    text = CREW.replace(", TASK", task and f", {task}").replace(", LIMIT", limit and f", {limit}")
    with_crew(folder, "one", text)
    with (
        opened(folder) as app,
        bootstrap.replace(
            ledger=flows.ledger,
            flow_log=flows.log,
            hub=Hub(flows.log),
            wake_queue=flows.wake_queue,
            registry=Registry(folder),
        ),
    ):
        stage = Stage(app, flows, model)
        async with asyncio.timeout(STORY_SECONDS):
            sent, again, _ = await asyncio.gather(stage.ask(), came_back(stage), story(stage))
        log = await stage.log()
        for found in (sent, again, await stage.ask()):
            check(found)
    assert_valid_agui(log, features=["shared-state"], max_warnings=0)
    assert sent[-1][0] == again[-1][0]
    return stage, log


async def came_back(stage: Stage) -> list[tuple[str, dict[str, Any]]]:
    """What the same run is sent when it comes back in the middle of a message."""
    await stage.flow()
    await stage.in_a_message()
    return await stage.ask()


def texts(log: list[dict[str, Any]]) -> list[str]:
    """Begins and ends of messages, of attempts and of the run, in short."""
    words = {
        "TEXT_MESSAGE_START": "(",
        "TEXT_MESSAGE_END": ")",
        "RUN_ERROR": "!",
        "RUN_FINISHED": ".",
    }
    names = {"step_failed": "again", "step_retried": "retried", "answer_refused": "refused"}
    found = [words.get(e["type"]) or names.get(e.get("name", "")) for e in log]
    return [word for word in found if word]


BOTH = pytest.mark.parametrize("flows", ["memory", "upstash-lean"], indirect=True)


@BOTH
async def test_a_model_that_breaks_off_and_is_tried_again(tmp_path: Path, flows: Flows):
    _, log = await staged(
        tmp_path, flows, lambda stage: stage.run(), task="retries: 1", breaks=(True,)
    )
    assert texts(log) == ["(", ")", "again", "(", ")", "."]


@BOTH
async def test_a_task_whose_time_is_up_in_each_attempt(tmp_path: Path, flows: Flows):
    limits = "retries: 1, max_execution_time: 1.5"
    _, log = await staged(tmp_path, flows, lambda stage: stage.run(), task=limits)
    assert texts(log) == ["(", ")", "again", "(", ")", "!"]


@BOTH
async def test_answers_that_a_guardrail_refuses_to_the_end(tmp_path: Path, flows: Flows):
    _, log = await staged(tmp_path, flows, lambda stage: stage.run(), task="guardrails: [refuse]")
    assert texts(log)[-1] == "!"
    assert "refused" in texts(log)
    assert texts(log).count("(") == texts(log).count(")") > 1


@BOTH
async def test_a_worker_lost_in_a_message_and_another_that_ends_it(tmp_path: Path, flows: Flows):
    async def story(stage: Stage) -> None:
        await stage.lose_a_worker()
        await stage.run()

    _, log = await staged(tmp_path, flows, story)
    assert texts(log) == ["(", ")", "retried", "(", ")", "."]


@BOTH
async def test_a_step_that_loses_all_its_workers(tmp_path: Path, flows: Flows):
    async def story(stage: Stage) -> None:
        await stage.lose_a_worker()
        await stage.lose_a_worker()
        await stage.run()

    stage, log = await staged(tmp_path, flows, story)
    assert texts(log)[-1] == "!"
    assert log[-1]["code"] == "attempts"
    assert texts(log).count("(") == texts(log).count(")") == 2
    state = await stage.flows.ledger.state(stage.flows.tenant, await stage.flow())
    assert state.head.status is Status.FAILED


@BOTH
async def test_a_flow_cancelled_in_the_middle_of_a_message(tmp_path: Path, flows: Flows):
    async def story(stage: Stage) -> None:
        await asyncio.gather(stage.run(), stage.cancel())

    _, log = await staged(tmp_path, flows, story)
    assert texts(log) == ["(", ")", "!"]


@BOTH
async def test_a_flow_cancelled_after_its_worker_was_lost(tmp_path: Path, flows: Flows):
    async def story(stage: Stage) -> None:
        await stage.lose_a_worker()
        await stage.cancel()

    _, log = await staged(tmp_path, flows, story)
    assert texts(log) == ["(", ")", "!"]


@BOTH
async def test_a_flow_whose_time_is_up_in_the_middle_of_a_message(tmp_path: Path, flows: Flows):
    _, log = await staged(tmp_path, flows, lambda stage: stage.run(), limit="time_limit_seconds: 1")
    assert texts(log) == ["(", ")", "!"]
    assert log[-1]["code"] == "time_limit"
