"""A worker process is killed in the middle of a step, for real, and another one is started."""

import asyncio
import collections
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from core.adapters.upstash.lean import LeanCommands
from core.crews import strategies
from core.crews.definition import Definition
from core.crews.ledger import Launch
from core.flows import Status
from tests.fixtures_ports import Flows, over_redis
from tests.model_server import serving

LEASE_SECONDS = 3
AGENT = {"role": "Writer", "goal": "Write.", "backstory": "You write."}


def a_crew() -> Definition:
    tasks = {
        name: {"description": f"TASK-{name.upper()}", "expected_output": "text", "agent": "writer"}
        for name in ("one", "two", "three")
    }
    return Definition.model_validate(
        {"name": "texts", "description": "d", "process": "sequential",
         "agents": {"writer": AGENT}, "tasks": tasks}
    )  # fmt: skip


class Model:
    """Counts calls by task; holds the first call for task two until the test is over."""

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()
        self.second_begun = threading.Event()
        self.over = threading.Event()

    def __call__(self, prompt: str) -> str:
        current = prompt.rsplit("Current Task: ", maxsplit=1)[-1]
        task = next(name for name in ("one", "two", "three") if f"TASK-{name.upper()}" in current)
        self.calls[task] += 1
        if task == "two" and self.calls[task] == 1:
            self.second_begun.set()
            self.over.wait(60)
        return f"answer {task}"


def worker_environ(rest, model_url: str, home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "UPSTASH_REDIS_REST_URL": rest.url,
        "UPSTASH_REDIS_REST_TOKEN": rest.token,
        "CREWLINE_BUCKET": "none",
        "CREWLINE_JWT_KEYS": f"k1:{'s' * 32}",
        "CREWLINE_MODEL": "counted",
        "CREWLINE_MODEL_BASE_URL": model_url,
        "CREWLINE_LEASE_SECONDS": str(LEASE_SECONDS),
        "CREWLINE_BEAT_SECONDS": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


async def launched(flows: Flows) -> None:
    crew = a_crew()
    await flows.ledger.create(
        flows.tenant,
        Launch("f1", "d", "0" * 8, crew.name, crew.model_dump(mode="json"), {},
               strategies.steps(crew), 0),
    )  # fmt: skip


async def ended(flows: Flows, check) -> None:
    async with asyncio.timeout(90):
        while not (await flows.log.head(flows.tenant, "f1")).status.terminal:
            check()
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_a_worker_killed_in_its_second_step_costs_that_step_and_nothing_else(
    gateway, processes, tmp_path: Path
):
    flows = over_redis(LeanCommands(gateway.url, gateway.token), gateway.url, gateway.token)
    model = Model()
    with serving(model) as url:
        environ = worker_environ(gateway, url, tmp_path)
        command = [sys.executable, "-m", "functions.crew_worker"]
        await launched(flows)
        processes.start("doomed", command, environ=environ)
        assert await asyncio.to_thread(model.second_begun.wait, 90)
        await asyncio.sleep(0.2)
        processes.kill("doomed")
        killed = time.monotonic()
        processes.start("successor", command, environ=environ)
        await ended(flows, processes.check)
        model.over.set()
        processes.stop("successor")
    print(f"ended {time.monotonic() - killed:.1f} s after the kill")

    state = await flows.ledger.state(flows.tenant, "f1")
    entries = await flows.log.entries(flows.tenant, "f1", 0, 1000)
    kinds = [json.loads(entry.event)["type"] for entry in entries]
    assert (state.head.status, state.output) == (Status.SUCCEEDED, "answer three")
    assert model.calls == {"one": 1, "two": 2, "three": 1}
    assert [step.epoch for step in state.steps] == [1, 2, 1]
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert kinds.count("STEP_STARTED") == kinds.count("STEP_FINISHED") == 3
    assert (kinds.count("RUN_FINISHED"), kinds[-1]) == (1, "RUN_FINISHED")
    assert sum("step_retried" in entry.event for entry in entries) == 1
