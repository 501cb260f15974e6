"""Every adapter of a port under the same name, so that one suite holds them all to the contract."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from core.adapters.memory import MemoryFlows
from core.adapters.upstash.commands import Commands, Patient
from core.adapters.upstash.lean import LeanCommands, LeanSubscriber
from core.adapters.upstash.ledger import DueSetWake, UpstashRunLedger
from core.adapters.upstash.log import UpstashFlowLog
from core.adapters.upstash.sdk import SdkCommands
from core.crews.ledger import Launch, RunLedger, Wake
from core.flows import FlowLog, Step

TTL_SECONDS = 3600


@dataclass(frozen=True)
class Flows:
    """The ports of flows over one adapter, and a tenant of the test's own."""

    tenant: str
    ledger: RunLedger
    log: FlowLog
    wake: Wake


def over_redis(commands: Commands, url: str, token: str) -> Flows:
    patient = Patient(commands)
    return Flows(
        f"t{uuid.uuid4().hex[:12]}",
        UpstashRunLedger(patient, TTL_SECONDS),
        UpstashFlowLog(patient, LeanSubscriber(url, token)),
        DueSetWake(patient),
    )


@pytest.fixture(params=["memory", "upstash-sdk", "upstash-lean"])
def flows(request: pytest.FixtureRequest) -> Flows:
    if request.param == "memory":
        memory = MemoryFlows()
        return Flows("t1", memory, memory, memory)
    rest = request.getfixturevalue("gateway")
    client = SdkCommands if request.param == "upstash-sdk" else LeanCommands
    return over_redis(client(rest.url, rest.token), rest.url, rest.token)


def a_launch(flow: str = "f1", **changes: Any) -> Launch:
    """A crew of three steps, launched."""
    steps = tuple(Step(name, name.title(), "worker") for name in ("one", "two", "three"))
    given: dict[str, Any] = {
        "flow": flow,
        "digest": "request-1",
        "incarnation": secrets.token_hex(4),
        "crew": "example",
        "definition": {"name": "example"},
        "inputs": {"file": "in_1"},
        "steps": steps,
        "created_ms": 1_700_000_000_000,
    }
    return Launch(**given | changes)
