"""Flows for worker processes, launched and watched over the store; nothing of CrewAI is loaded here."""

import asyncio
import secrets
import time
from typing import Any

from benchmarks.parts import TENANT, TTL_SECONDS, Parts
from core.adapters.upstash.ledger import UpstashRunLedger
from core.adapters.upstash.wake import RedisWakeQueue
from core.crews import strategies
from core.crews.definition import Definition
from core.crews.ledger import Launch
from core.crews.wakeups import wake_worker
from core.flows import Flow, Status

WORKER = "worker_"
LOOK_SECONDS, ENDED_SECONDS = 0.01, 180.0


def manager_crew(workers: int) -> Definition:
    """Return a hierarchical crew of one task and so many workers."""
    names = ["chief", *(f"{WORKER}{n}" for n in range(1, workers + 1))]
    task = {"description": "Say what there is to say.", "expected_output": "A paragraph."}
    return _crew("hierarchical", names, {"say": task}, manager="chief")


def short_crew() -> Definition:
    """Return a crew of one task."""
    task = {"description": "Say it.", "expected_output": "A sentence.", "agent": "clerk"}
    return _crew("sequential", ["clerk"], {"say": task})


def chain_crew(tasks: int) -> Definition:
    """Return a sequential crew of so many tasks."""
    task = {"description": "Say it.", "expected_output": "A sentence.", "agent": "clerk"}
    return _crew("sequential", ["clerk"], {f"say_{n}": task for n in range(1, tasks + 1)})


def _crew(
    process: str, agents: list[str], tasks: dict[str, dict[str, str]], **more: Any
) -> Definition:
    who = {name: {"role": name, "goal": "Say it.", "backstory": "Short."} for name in agents}
    named = {"name": f"bench_{process}", "description": "Says something.", "process": process}
    return Definition.model_validate({**named, "agents": who, "tasks": tasks, **more})


def a_launch(definition: Definition) -> Launch:
    """Return a flow to be created, of this crew."""
    flow = f"fl_{secrets.token_hex(16)}"
    return Launch(
        flow=flow,
        digest=flow,
        incarnation=secrets.token_hex(4),
        crew=definition.name,
        definition=definition.model_dump(mode="json"),
        definition_digest=definition.digest(),
        inputs={},
        steps=strategies.initial_steps(definition),
        created_ms=int(time.time() * 1000),
    )


async def launched(running: Parts, definition: Definition, tenant: str = TENANT) -> str:
    """Create a flow and wake a worker for it; return its id."""
    redis, launch = running.redis(), a_launch(definition)
    await UpstashRunLedger(redis, TTL_SECONDS).create(tenant, launch)
    await wake_worker(RedisWakeQueue(redis), tenant, launch.flow)
    return launch.flow


async def until_ended(running: Parts, flow: str, tenant: str = TENANT) -> Flow:
    """Return a flow's state when it has succeeded. Raises TimeoutError, RuntimeError."""
    ledger = running.ledger()
    async with asyncio.timeout(ENDED_SECONDS):
        while not (state := await ledger.state(tenant, flow)).head.status.terminal:  # noqa: ASYNC110 -- a look now and then
            await asyncio.sleep(LOOK_SECONDS)
    return succeeded(state)


def succeeded(state: Flow) -> Flow:
    """Return the state. Raises RuntimeError if it is another end."""
    if state.head.status is not Status.SUCCEEDED:
        raise RuntimeError(f"flow {state.id} is {state.head.status}: {state.error}")
    return state
