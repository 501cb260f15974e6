"""A worker that is woken in a fresh process, as AWS Lambda starts one for a message of SQS."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from core.adapters.upstash.http import HttpRedis
from core.flows import Status
from tests.fixtures_api import process_environ
from tests.fixtures_ports import Flows, over_redis, whole_log
from tests.fixtures_servers import Rest
from tests.worker_parts import a_crew, launched

ROOT = Path(__file__).parents[2]
# The handler of a process that is killed where CrewAI would be imported, or in which that is allowed.
WOKEN = """
import json, os, sys

class AtCrewAI:
    def find_spec(self, name, path=None, target=None):
        if name == "crewai" and {killed}:
            print(json.dumps(sorted(sys.modules)), flush=True)
            os._exit(9)

class Context:
    def get_remaining_time_in_millis(self):
        return 300_000

sys.meta_path.insert(0, AtCrewAI())
from functions import crew_worker
crew_worker.handler({{"Records": [{{"messageId": "m", "body": sys.argv[1]}}]}}, Context())
"""


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


def woken(gateway: Rest, tenant: str, *, killed: bool) -> subprocess.CompletedProcess[str]:
    """Hand a wake-up for the flow f to a fresh process."""
    message = json.dumps({"tenant": tenant, "flow": "f"})
    command = [sys.executable, "-c", WOKEN.format(killed=killed), message]
    environ = {**process_environ(gateway), "CREWLINE_MODEL": "offline"}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100
    )


async def told(flows: Flows) -> list[dict[str, object]]:
    return [json.loads(entry.json) for entry in await whole_log(flows, "f")]


async def test_a_cold_worker_says_that_it_starts_before_it_loads_crewai_and_once(
    gateway: Rest, flows: Flows
):
    await launched(flows.ledger, a_crew(), "f", flows.tenant)
    for _ in range(2):  # the message of one that was killed comes again
        ran = woken(gateway, flows.tenant, killed=True)
        assert ran.returncode == 9, ran.stderr
        assert {"numpy", "boto3", "openai"}.isdisjoint(json.loads(ran.stdout))
    state = await flows.ledger.state(flows.tenant, "f")
    assert state.head.status is Status.QUEUED
    assert state.starting_ms is not None
    kinds = [event.get("name", event["type"]) for event in await told(flows)]
    assert kinds == ["RUN_STARTED", "STATE_SNAPSHOT", "STATE_DELTA", "starting"]
    ran = woken(gateway, flows.tenant, killed=False)
    assert ran.returncode == 0, ran.stderr
    log = await told(flows)
    kinds = [event.get("name", event["type"]) for event in log]
    assert kinds.count("starting") == 1
    assert kinds.index("starting") < kinds.index("STEP_STARTED")
    assert_valid_agui(log, features=["shared-state"], max_warnings=0)
    ended = await flows.ledger.state(flows.tenant, "f")
    assert (ended.head.status, ended.starting_ms) == (Status.SUCCEEDED, state.starting_ms)
