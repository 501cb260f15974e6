"""A worker over the memory adapters, with a runner that calls no model."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.adapters.memory import MemoryCallLedger, MemoryFlows, MemoryUsageBook
from core.costs.usage import Usage
from core.crews import strategies
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.definition import Definition
from core.crews.launch import time_limit_ms
from core.crews.ledger import Launch
from core.crews.lessons import Lessons
from core.crews.timing import Timing
from core.crews.wakeups import WakeQueue
from core.crews.worker import Worker
from core.flows import events
from tests.workers import worker_over

TIMING = Timing(lease_seconds=0.15, beat_seconds=0.04, step_seconds=1)
AGENT = {"role": "r", "goal": "g", "backstory": "b"}
BOUND = Usage(calls=1, output_tokens=100, cost_nanodollars=1000)
CALL = Usage(calls=1, output_tokens=10, cost_nanodollars=100)
Script = Callable[[StepTask, Session], Any]


def a_crew(
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    agents: Sequence[str] = ("a",),
    **limits: int | None,
) -> Definition:
    """A sequential crew of three tasks; `tasks` changes single fields of them."""
    made = {
        name: {
            "description": "d", "expected_output": name.title(), "agent": "a",
            **(tasks or {}).get(name, {}),
        }
        for name in ("one", "two", "three")
    }  # fmt: skip
    return Definition.model_validate(
        {"name": "c", "description": "d", "process": "sequential",
         "agents": dict.fromkeys(agents, AGENT), "tasks": made, "limits": limits}
    )  # fmt: skip


class _Fitting:
    """The check of a store in memory, which is of nobody else."""

    async def require(self) -> None:
        pass


FITTING = _Fitting()


class Scripted(CrewRunner):
    """A runner that does what each step's function says, and counts what it began."""

    def __init__(self, **steps: Script) -> None:
        self.steps, self.began = steps, list[str]()

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        step = work.prompt.step
        self.began.append(step)
        call = await asyncio.to_thread(session.reserve, "m", BOUND)
        session.settle(call, CALL, events.custom("at", step))
        if step in self.steps:
            done = self.steps[step](work, session)
            if asyncio.iscoroutine(done):
                await done
        told = len(work.prompt.context)
        return {"output": f"{step} after {told}", "raw": f"{step} after {told}"}


async def launched(
    memory: MemoryFlows,
    crew: Definition | None = None,
    flow: str = "f",
    tenant: str = "t",
    **more: Any,
) -> None:
    crew = crew or a_crew()
    await memory.create(
        tenant,
        Launch(
            flow=flow,
            digest="d",
            incarnation="0" * 8,
            crew=crew.name,
            definition=crew.model_dump(mode="json"),
            definition_digest=crew.digest(),
            steps=strategies.initial_steps(crew),
            created_ms=0,
            launched_by="ann",
            time_limit_ms=time_limit_ms(crew),
            **{"inputs": {}, **more},
        ),
    )


def a_worker(
    memory: MemoryFlows,
    runner: CrewRunner,
    lessons: Lessons | None = None,
    *,
    wake_queue: WakeQueue | None = None,
    timing: Timing = TIMING,
    deployed_model: str | None = None,
) -> Worker:
    calls, usage_book = MemoryCallLedger(memory), MemoryUsageBook(memory)
    deps = memory, calls, wake_queue or memory, runner, timing
    more = {"lessons": lessons, "usage_book": usage_book, "deployed_model": deployed_model}
    return worker_over(*deps, **more)


async def log_of(memory: MemoryFlows, flow: str = "f") -> list[dict[str, Any]]:
    return [json.loads(entry.json) for entry in await memory.entries("t", flow, 0, 10_000)]


async def kinds(memory: MemoryFlows) -> list[str]:
    return [event["type"] for event in await log_of(memory)]
