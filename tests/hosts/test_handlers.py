"""Every Lambda handler over the real gateway, as a warm process is used: invoked again and again."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.identity import SCOPES, Keys, mint
from tests.e2e.apps import gateway_event
from tests.fixtures_api import SECRET, process_environ
from tests.fixtures_servers import Rest

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(
    path.stem
    for path in (ROOT / "functions").glob("[!_]*.py")
    if "\nhandler = " in path.read_text() or "\ndef handler(" in path.read_text()
)
TIMES = 5
LAUNCH = json.dumps({"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}).encode()


def request(method: str, url: str, body: bytes = b"") -> dict[str, Any]:
    now = int(time.time())
    token = mint(Keys({"k1": SECRET}), "acme", "ann", SCOPES, ttl_seconds=7200, now=now)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return gateway_event(method, url, headers, body)


WAKE_UP = {"messageId": "m", "body": '{"tenant": "acme", "flow": "fl_gone"}'}
# For each function: an event that makes it ask the store, and what its answer must have in it.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cost_report": (request("GET", "/v1/costs"), {"statusCode": 200}),
    "crew_amp": (request("GET", "/amp/research_brief/status/fl_gone"), {"statusCode": 404}),
    "crew_launch": (request("POST", "/v1/flows", LAUNCH), {"statusCode": 202}),
    "crew_worker": ({"Records": [WAKE_UP]}, {"batchItemFailures": []}),
    "feedback": (request("GET", "/v1/learning"), {"statusCode": 200}),
    "flow_events": (request("GET", "/v1/flows/fl_gone/events"), {"statusCode": 404}),
    "flow_status": (request("GET", "/v1/flows"), {"statusCode": 200}),
    "retrain": ({}, {}),
    "sweep": ({}, {"told": 0}),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_answers_in_a_warm_process_as_it_does_in_a_cold_one(function: str, gateway: Rest):
    event, expected = CALLS[function]  # a new function says here how it is called
    environ = {
        **process_environ(gateway),
        "CREWLINE_LEARNING_KEYS": f"k1:{SECRET}",
        "CREWLINE_MODEL": "offline",
    }
    command = [sys.executable, "-m", "tests.handler_process", f"functions.{function}"]
    ran = subprocess.run(
        [*command, json.dumps(event), str(TIMES)],
        check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == TIMES, ran.stderr
    assert [{k: answer[k] for k in expected} for answer in answers] == [expected] * TIMES


def test_every_function_with_a_handler_is_called_here():
    assert set(FUNCTIONS) == set(CALLS)
