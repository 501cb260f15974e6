"""A crew of three tasks, run by Crewline's worker and by CrewAI alone, over the same model.

The model answers at once, or after so many seconds, and emits CrewAI's events as its own do. Both
sides take copies of one object, and must ask it the same: that is checked before anything is timed.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.adapters.crewai.environ import prepare_environ

prepare_environ(os.environ, str(Path.home()))  # before CrewAI is imported, which reads it then

from crewai import Agent, BaseLLM, Crew, Process, Task  # noqa: E402, TID253 -- what is compared with
from crewai.events.types.llm_events import LLMCallType  # noqa: E402, TID253 -- as above
from crewai.events.utils.console_formatter import (  # noqa: E402, TID253 -- as above
    set_suppress_console_output,
)
from crewai.llms.base_llm import llm_call_context  # noqa: E402, TID253 -- as above
from pydantic import Field  # noqa: E402

from benchmarks.crew_flows import a_launch, succeeded  # noqa: E402
from benchmarks.parts import TENANT, TTL_SECONDS, Parts  # noqa: E402
from core.adapters.crewai.runner import CrewAIRunner  # noqa: E402
from core.adapters.crewai.threads import in_thread  # noqa: E402
from core.adapters.memory import MemoryBlobs  # noqa: E402
from core.adapters.price_catalogues import CataloguePriceBook  # noqa: E402
from core.adapters.upstash.call_ledger import UpstashCallLedger  # noqa: E402
from core.adapters.upstash.commands import RetryingClient  # noqa: E402
from core.adapters.upstash.journals import UpstashJournals  # noqa: E402
from core.adapters.upstash.ledger import UpstashRunLedger  # noqa: E402
from core.adapters.upstash.wake import RedisWakeQueue  # noqa: E402
from core.crews.clock import NoLimit  # noqa: E402
from core.crews.crew_runner import Tool  # noqa: E402
from core.crews.definition import Definition  # noqa: E402
from core.crews.journal import NoJournals  # noqa: E402
from core.crews.step_runner import StepRunner  # noqa: E402
from core.crews.timing import Timing  # noqa: E402
from core.crews.wakeups import wake_worker  # noqa: E402
from core.crews.worker import Worker  # noqa: E402
from core.flows import Flow  # noqa: E402
from core.flows.values import INLINE  # noqa: E402

USAGE = {"prompt_tokens": 400, "completion_tokens": 100}
PIECE = "Ferries leave from the quay at seven, and the last one is back by dusk. "
ANSWER = (6 * PIECE).strip()
TIMING = Timing(lease_seconds=30, beat_seconds=10, step_seconds=60)  # as a deployment has it

CREW = Definition.model_validate(
    {
        "name": "bench_brief",
        "description": "A brief in three tasks.",
        "process": "sequential",
        "agents": {
            name: {
                "role": f"The {name}",
                "goal": f"Do the work of a {name} so that the next one can build on it.",
                "backstory": f"A {name} with twenty years in the trade, short and exact in words.",
            }
            for name in ("researcher", "analyst", "writer")
        },
        "tasks": {
            name: {
                "description": f"{name.title()} what there is to know of ferries to the islands.",
                "expected_output": f"Six sentences: what came of the task to {name}.",
                "agent": agent,
            }
            for name, agent in (
                ("collect", "researcher"),
                ("weigh", "analyst"),
                ("write", "writer"),
            )
        },
    }
)


class SteadyModel(BaseLLM):
    """Always gives the same answer, `seconds` after it was asked; in so many `pieces` if any.

    All its copies note in one list what they were asked.
    """

    seconds: float = 0.0
    pieces: int = 0
    asked: list[Any] = Field(default_factory=list[Any], exclude=True)

    def supports_function_calling(self) -> bool:
        return False

    def get_input_tokens_count(self, *_: Any, **__: Any) -> int:
        """What CrewAI would else guess, with a warning for each model."""
        return USAGE["prompt_tokens"]

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        del callbacks, available_functions, response_model
        source = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, **source)
            self.asked.append([dict(message) for message in messages])
            for _ in range(self.pieces):
                time.sleep(self.seconds / self.pieces)
                self._emit_stream_chunk_event(PIECE, **source)
            if self.seconds and not self.pieces:
                time.sleep(self.seconds)
            self._emit_call_completed_event(ANSWER, LLMCallType.LLM_CALL, usage=USAGE, **source)
            return ANSWER


def a_model(seconds: float = 0.0, pieces: int = 0) -> SteadyModel:
    """Return a model of a name whose price is known."""
    return SteadyModel(model="openai/gpt-4o-mini", seconds=seconds, pieces=pieces)


def bare_crew(model: BaseLLM) -> Crew:
    """Return the crew as one writes it with CrewAI alone, each agent with a model of its own."""
    agents = {
        name: Agent(
            role=agent.role,
            goal=agent.goal,
            backstory=agent.backstory,
            max_iter=agent.max_iter,
            llm=model.model_copy(),
        )
        for name, agent in CREW.agents.items()
    }
    tasks = [
        Task(
            name=name,
            description=task.description,
            expected_output=task.expected_output,
            agent=agents[task.agent or ""],
        )
        for name, task in CREW.tasks.items()
    ]
    return Crew(agents=list(agents.values()), tasks=tasks, process=Process.sequential)


@dataclass(frozen=True, slots=True)
class Kickoff:
    """The times of a bare run, in seconds."""

    built: float
    ran: float


async def kicked_off(model: BaseLLM) -> Kickoff:
    """Build and run the bare crew, in a thread as the worker does."""

    def run() -> Kickoff:
        set_suppress_console_output(True)
        start = time.perf_counter()
        crew = bare_crew(model)
        built = time.perf_counter()
        crew.kickoff()
        return Kickoff(built - start, time.perf_counter() - built)

    return await asyncio.wrap_future(in_thread("kickoff", run))


class Office:
    """A worker in this process, over the store of `running`, with the clients of a deployment."""

    def __init__(
        self,
        running: Parts,
        model: Callable[[], BaseLLM],
        tools: Mapping[str, Tool] | None = None,
        *,
        journals: bool = True,
    ) -> None:
        redis = RetryingClient(running.redis())
        self.ledger = UpstashRunLedger(redis, TTL_SECONDS)
        self.wake_queue = RedisWakeQueue(redis)
        runner = CrewAIRunner(model, tools or {}, {}, CataloguePriceBook(), MemoryBlobs())
        calls = UpstashCallLedger(redis)
        kept = UpstashJournals(redis) if journals else NoJournals()
        steps = StepRunner(self.ledger, calls, runner, TIMING, INLINE, journals=kept)
        self.worker = Worker(self.ledger, self.wake_queue, steps, INLINE)

    async def launch(self, definition: Definition) -> str:
        """Create a flow and ring for a worker; return its id."""
        launch = a_launch(definition)
        await self.ledger.create(TENANT, launch)
        await wake_worker(self.wake_queue, TENANT, launch.flow)
        return launch.flow

    async def run(self, flow: str) -> None:
        """Take a flow to its end."""
        await self.worker.run_flow(TENANT, flow, NoLimit())

    async def ended(self, flow: str) -> Flow:
        """Return the state of a flow that has succeeded. Raises RuntimeError."""
        return succeeded(await self.ledger.state(TENANT, flow))


def office(running: Parts, model: SteadyModel) -> Office:
    """Return a worker whose every step has a copy of the model."""
    return Office(running, partial(model.model_copy))
