"""What a fresh process of a polled function loads for its first answer, and never runs: each costs a cold start.

A module of which no function ran was loaded for its classes or constants alone, or for nothing. 0.3 to 0.6 ms
go into each dataclass, and as much into the file it is in.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.adapters.upstash.http import HttpRedis
from tests.e2e.apps import gateway_event
from tests.fixtures_api import Api, process_environ
from tests.fixtures_ports import over_redis
from tests.fixtures_servers import Rest
from tests.worker_parts import a_crew, launched

ROOT = Path(__file__).parents[2]
# The handler of a process that writes down whose functions run; bodies of modules and classes are none.
WATCHED = """
import json, os, sys, threading

FUNCTION = 1  # CO_OPTIMIZED
ran = set()

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_flags & FUNCTION:
        ran.add(frame.f_code.co_filename)

sys.setprofile(watch)
threading.setprofile(watch)
from functions.{function} import handler

class Context:
    aws_request_id = "r-1"

    def get_remaining_time_in_millis(self):
        return 29_000

answer = handler(json.loads(sys.argv[1]), Context())
sys.setprofile(None)
files = dict((name, getattr(module, "__file__", None) or "") for name, module in sys.modules.items())
ours = [name for name in files if name.partition(".")[0] in ("core", "functions", "crews")]
idle = [name for name in ours if not files[name].endswith("__init__.py") and files[name] not in ran]
print(json.dumps([answer["statusCode"], sorted(idle)]), flush=True)
os._exit(0)
"""
# Loaded, and not run: classes that signatures and errors name, and what the next request may ask for.
IDLE = {
    "core.adapters.upstash.flow_list", "core.adapters.upstash.refusals", "core.blobs", "core.bootstrap.models",
    "core.bootstrap.webhooks",
    "core.complaints", "core.cpu", "core.errors", "core.flows.events", "core.flows.pieces", "core.flows.tickets",
}  # fmt: skip
ALSO = {
    "flow_status": {
        "core.crews.step_ids", "core.flows.log", "core.flows.stream_limiter", "core.flows.subscription",
    },
    "flow_events": {"core.flows.pages", "functions._http.bodies", "functions._http.polling"},
}  # fmt: skip


def answered(function: str, event: dict[str, Any], gateway: Rest) -> tuple[int, set[str]]:
    """Return the status of a fresh process' first answer, and which modules of ours it loaded and did not run."""
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED.replace("{function}", function), json.dumps(event)],
        cwd=ROOT, env=process_environ(gateway), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    status, idle = json.loads(ran.stdout)
    return status, set(idle)


@pytest.mark.parametrize(("function", "path"), [("flow_status", ""), ("flow_events", "/events")])
async def test_a_polled_function_loads_little_that_its_first_answer_does_not_run(
    function: str, path: str, gateway: Rest
):
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    await launched(flows.ledger, a_crew(), "f", flows.tenant)
    event = gateway_event("GET", f"/v1/flows/f{path}", Api(gateway.url).auth(flows.tenant))
    status, idle = answered(function, event, gateway)
    assert status == 200
    assert idle - IDLE - ALSO[function] == set()
