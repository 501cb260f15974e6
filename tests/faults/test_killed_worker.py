"""A worker process with real CrewAI is killed in a step of each strategy, and another one started."""

import asyncio
import collections
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from core.adapters.upstash.http import HttpRedis
from core.crews.definition import Definition
from core.flows import Flow, Status
from tests import crewai_answers, fault_crews
from tests.fixtures_ports import Flows, over_redis, whole_log
from tests.model_server import serving

LEASE_SECONDS = 3
PATIENCE_SECONDS = 120


class Model:
    """Counts calls by flow and what they ask; holds the first of each kind in `holding`."""

    def __init__(self, holding: set[tuple[str, str]]) -> None:
        self.calls: collections.Counter[tuple[str, str]] = collections.Counter()
        self.holding, self.held = holding, set[tuple[str, str]]()
        self.all_held, self.over = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def __call__(self, prompt: str) -> str:
        asked = crewai_answers.asked(prompt)
        with self._lock:
            self.calls[asked] += 1
            hold = asked in self.holding - self.held
            self.held |= {asked} & self.holding
            if self.held == self.holding:
                self.all_held.set()
        if hold:
            self.over.wait(PATIENCE_SECONDS)
        return crewai_answers.answer(prompt)


def a_crew(process: str, *tasks: str) -> Definition:
    """The crew of this process, its tasks called by these names."""
    crew = fault_crews.a_crew(process).model_dump(mode="json")
    agent = {"agent": "ana"} if process == "sequential" else {}
    crew["tasks"] = {
        name: {"description": f"TASK-{name.upper()}.", "expected_output": "text", **agent}
        for name in tasks
    }
    return Definition.model_validate(crew)


CREWS = {
    "sequential": a_crew("sequential", "one", "two", "three"),
    "hierarchical": a_crew("hierarchical", "manage"),
    "consensus": a_crew("consensus", "agree"),
}
HOLDING = {("two", "task"), ("manage", "subtask"), ("agree", "verdict")}


def worker_environ(rest, model_url: str, home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "UPSTASH_REDIS_REST_URL": rest.url,
        "UPSTASH_REDIS_REST_TOKEN": rest.token,
        "CREWLINE_BUCKET": "none",
        "CREWLINE_JWT_KEYS": f"k1:{'s3cr-t0k' * 4}",
        "CREWLINE_MODEL": "counted",
        "CREWLINE_MODEL_BASE_URL": model_url,
        "CREWLINE_LEASE_SECONDS": str(LEASE_SECONDS),
        "CREWLINE_BEAT_SECONDS": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


async def ended(flows: Flows, check) -> dict[str, Flow]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        for flow in CREWS:
            while not (await flows.log.head(flows.tenant, flow)).status.terminal:
                check()
                await asyncio.sleep(0.1)
    return {flow: await flows.ledger.state(flows.tenant, flow) for flow in CREWS}


@pytest.fixture
async def story(store, processes, tmp_path: Path):
    """Kill a worker in a step of each strategy, have another one finish; what came of it."""
    await HttpRedis(store.url, store.token).execute(["FLUSHALL"])
    flows = over_redis(HttpRedis(store.url, store.token), store.url, store.token)
    model = Model(HOLDING)
    with serving(model) as url:
        environ = worker_environ(store, url, tmp_path)
        command = [sys.executable, "-m", "functions.crew_worker"]
        for flow, crew in CREWS.items():
            await flows.ledger.create(flows.tenant, fault_crews.a_launch(crew, flow))
        processes.start("doomed", command, environ=environ)
        assert await asyncio.to_thread(model.all_held.wait, PATIENCE_SECONDS)
        await asyncio.sleep(0.2)
        processes.kill("doomed")
        killed = time.monotonic()
        processes.start("successor", command, environ=environ)
        states = await ended(flows, processes.check)
        model.over.set()
        processes.stop("successor")
    print(f"ended {time.monotonic() - killed:.1f} s after the kill")
    logs = {f: [e.json for e in await whole_log(flows, f)] for f in CREWS}
    return model, states, logs


@pytest.mark.timeout(300)
async def test_a_worker_killed_in_a_step_of_each_strategy_costs_those_steps_and_no_other(story):
    model, states, logs = story
    assert {state.head.status for state in states.values()} == {Status.SUCCEEDED}
    assert states["sequential"].output == "answer three by ana"
    assert states["hierarchical"].output == "answer manage"
    assert states["consensus"].output["agreement"] == 1.0
    for kind in HOLDING:
        assert model.calls[kind] >= 2
    for flow, state in states.items():
        assert [step.epoch for step in state.steps].count(2) >= 1, flow
        assert max(step.epoch for step in state.steps) == 2
        retried = sum("step_retried" in event for event in logs[flow])
        assert retried == sum(step.epoch - 1 for step in state.steps)
        ends = [e for e in logs[flow] if e.startswith(('{"type":"RUN_FIN', '{"type":"RUN_ERR'))]
        assert ends == logs[flow][-1:]
        finished = sum(event.startswith('{"type":"STEP_FINISHED"') for event in logs[flow])
        assert finished == len(state.steps)
    starts = sum(step.epoch for state in states.values() for step in state.steps)
    calls = sum(state.usage.calls for state in states.values())
    assert model.calls.total() <= calls <= starts  # a call for each start of a step, and no other
    assert (model.calls["one", "task"], model.calls["manage", "plan"]) == (1, 1)
    assert sum(state.usage.lost_calls for state in states.values()) >= len(HOLDING)
