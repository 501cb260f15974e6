"""Worker processes as a host runs them: how much of a manager's flow is spent on nothing but models.

`functions.crew_worker` under its own main, one process each, all over one store; each calls the model
server with an API key of its own, so it is known which process did what.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.crew_flows import WORKER, launched, manager_crew, until_ended
from benchmarks.model_server import Asked, ModelServer
from benchmarks.parts import Parts
from benchmarks.report import Figure

READY_SECONDS, WARM_CALLS = 240.0, 2
WARM_SECONDS, CALL_SECONDS = 0.1, 2.0
PLAN, RESULT = 'JSON with "subtasks"', 'JSON with "output"'


@dataclass(frozen=True, slots=True)
class Fleet:
    """Warm workers, by name, and the model that they call."""

    running: Parts
    model: ModelServer
    names: tuple[str, ...]


def answers(subtasks: int) -> ModelServer:
    """Return a model for `manager_crew`: it plans so many subtasks, and takes every answer."""
    plan = [
        {"worker": f"{WORKER}{n}", "description": f"Part {n}.", "expected_output": "A sentence."}
        for n in range(1, subtasks + 1)
    ]

    def answer(prompt: str) -> str:
        if PLAN in prompt:
            return json.dumps({"subtasks": plan})
        return json.dumps({"output": "All is said."}) if RESULT in prompt else "It is so."

    return ModelServer(answer)


def begin(running: Parts, model: ModelServer, names: Sequence[str], **environ: str) -> None:
    """Start workers; returns before they have loaded CrewAI."""
    for name in names:
        own = {
            "CREWLINE_MODEL": "gpt-4o-mini",
            "CREWLINE_MODEL_BASE_URL": model.url,
            "CREWLINE_MODEL_API_KEY": name,
        }
        command = [sys.executable, "-m", "functions.crew_worker"]
        chosen = {**running.environ, "CREWLINE_BUCKET": "none", **own, **environ}
        running.processes.start(name, command, environ=chosen)


async def warm(running: Parts, model: ModelServer, names: tuple[str, ...]) -> Fleet:
    """Return when every process has made some model calls. Raises TimeoutError."""
    model.seconds = WARM_SECONDS
    async with asyncio.timeout(READY_SECONDS):
        while any(_calls(model)[name] < WARM_CALLS for name in names):
            running.processes.check()
            await until_ended(running, await launched(running, manager_crew(len(names))))
    model.seconds = 0.0
    return Fleet(running, model, names)


def _calls(model: ModelServer) -> Counter[str]:
    return Counter(asked.key for asked in model.asked)


async def parallel(fleet: Fleet, flows: int) -> Figure:
    """Compare a flow's time with what its models alone would take, subtasks side by side."""
    fleet.model.seconds = CALL_SECONDS
    runs = [await _run(fleet) for _ in range(flows)]
    efficiency = statistics.median(run.models_seconds / run.wall_seconds for run in runs)
    walls = ", ".join(f"{run.wall_seconds:.2f}" for run in runs)
    least = min(run.processes for run in runs)
    fleet.model.seconds = 0.0
    spread = statistics.median(run.spread_seconds for run in runs)
    seen = (
        f"models {runs[0].models_seconds:.2f} s; flows {walls} s; their subtasks began within"
        f" {spread * 1000:.0f} ms, on {least} processes or more"
    )
    return Figure("parallel_efficiency", round(efficiency, 3), ">= 0.8", seen)


@dataclass(frozen=True, slots=True)
class _Run:
    wall_seconds: float
    models_seconds: float
    spread_seconds: float  # between the first subtask's call and the last one's
    processes: int  # that did the subtasks


async def _run(fleet: Fleet) -> _Run:
    workers = len(fleet.names)
    fleet.model.asked.clear()
    start = time.monotonic()
    await until_ended(fleet.running, await launched(fleet.running, manager_crew(workers)))
    return _measured(time.monotonic() - start, fleet.model.asked, workers)


def _measured(wall_seconds: float, asked: Sequence[Asked], workers: int) -> _Run:
    """Raises RuntimeError if there were other calls than a plan, the subtasks and a result."""
    plans = [each for each in asked if PLAN in each.prompt]
    results = [each for each in asked if RESULT in each.prompt]
    work = [each for each in asked if each not in plans and each not in results]
    if (len(plans), len(results), len(work)) != (1, 1, workers):
        raise RuntimeError(f"not the calls of one flow: {len(asked)}")
    models = plans[0].seconds + max(each.seconds for each in work) + results[0].seconds
    begun = [each.began for each in work]
    processes = len({each.key for each in work})
    return _Run(wall_seconds, models, max(begun) - min(begun), processes)
