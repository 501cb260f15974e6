"""Every adapter of a port under the same name, so that one suite holds them all to the contract."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from core.adapters.memory import (
    MemoryAgreedPrices,
    MemoryBudgets,
    MemoryCallLedger,
    MemoryFeedbackLog,
    MemoryFlows,
    MemoryJournals,
    MemoryOutbox,
    MemorySpendingLog,
    MemoryTrials,
    MemoryUsageBook,
)
from core.adapters.upstash import calls
from core.adapters.upstash.agreed_prices import UpstashAgreedPrices
from core.adapters.upstash.budgets import UpstashBudgets
from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.commands import Commands, RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.journals import UpstashJournals
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.ledger import UpstashRunLedger
from core.adapters.upstash.log import UpstashFlowLog
from core.adapters.upstash.outbox import UpstashOutbox
from core.adapters.upstash.sdk import SdkRedis
from core.adapters.upstash.spending_log import UpstashSpendingLog
from core.adapters.upstash.trials import UpstashTrials
from core.adapters.upstash.usage import UpstashUsageBook
from core.adapters.upstash.wake import RedisWakeQueue
from core.costs.budget import Budgets
from core.costs.recording import UsageBook
from core.costs.spending_log import SpendingLog
from core.costs.tenant_prices import AgreedPrices
from core.crews.call_ledger import CallLedger
from core.crews.journal import Journals
from core.crews.ledger import Launch, RunLedger
from core.crews.trials import Trials
from core.crews.wakeups import WakeQueue
from core.flows import Batch, FlowLog, Step
from core.learning.feedback import FeedbackLog
from core.webhooks.outbox import Outbox
from tests.fixtures_servers import RoughGateway

TTL_SECONDS = 3600
DEFAULT_KEYS = Keyspace()
LAG_MS = 40  # of reads at the lagging store: its client's sync token has them wait for writes


@dataclass(frozen=True)
class Flows:
    """The ports of flows over one adapter, and a tenant of the test's own."""

    tenant: str
    ledger: RunLedger
    log: FlowLog
    wake_queue: WakeQueue
    calls: CallLedger
    budgets: Budgets
    prices: AgreedPrices
    spending: SpendingLog
    outbox: Outbox
    usage: UsageBook
    trials: Trials
    feedback: FeedbackLog
    journals: Journals
    keys: Keyspace = DEFAULT_KEYS


async def leased(
    ledger: RunLedger, tenant: str, lease_ms: int = 60_000, limit: int = 100
) -> list[str]:
    """Lease what is due, and return the flows of this tenant."""
    taken = await ledger.lease(limit, limit, lease_ms)
    return [flow for owner, flow in taken.items if owner == tenant]


async def due(flows: Flows, lease_ms: int = 60_000, limit: int = 100) -> list[str]:
    """Lease what is due, and return the flows of the test's tenant."""
    return await leased(flows.ledger, flows.tenant, lease_ms, limit)


def in_memory(memory: MemoryFlows | None = None, tenant: str = "t1") -> Flows:
    memory = memory or MemoryFlows()
    return Flows(
        tenant,
        memory,
        memory,
        memory,
        MemoryCallLedger(memory),
        MemoryBudgets(memory),
        MemoryAgreedPrices(memory),
        MemorySpendingLog(memory),
        MemoryOutbox(memory),
        MemoryUsageBook(memory),
        MemoryTrials(memory),
        MemoryFeedbackLog(),
        MemoryJournals(memory),
    )


def over_redis(
    commands: Commands,
    url: str,
    token: str,
    lua_folder: Path = calls.FOLDER,
    keys: Keyspace | None = None,
    ttl_seconds: float = TTL_SECONDS,
    max_request_bytes: int = calls.MAX_REQUEST_BYTES,
) -> Flows:
    patient, keys = RetryingClient(commands), keys or DEFAULT_KEYS
    runner = calls.ScriptRunner(patient, lua_folder, max_request_bytes)
    return Flows(
        f"t{uuid.uuid4().hex[:12]}",
        UpstashRunLedger(patient, ttl_seconds, keys, runner),
        UpstashFlowLog(patient, HttpPubSub(url, token), keys),
        RedisWakeQueue(patient),
        UpstashCallLedger(patient, keys, runner, pubsub=HttpPubSub(url, token)),
        UpstashBudgets(patient, keys, runner),
        UpstashAgreedPrices(patient, keys, runner),
        UpstashSpendingLog(patient, keys),
        UpstashOutbox(patient, keys, runner),
        UpstashUsageBook(patient, keys, runner),
        UpstashTrials(patient, keys, runner),
        UpstashFeedbackLog(patient, keys, runner),
        UpstashJournals(patient, keys, runner),
        keys,
    )


def own_keys() -> Keyspace:
    """Return keys that no other test has, so that its due set is its own."""
    return Keyspace(prefix=f"{uuid.uuid4().hex[:12]}-")


@pytest.fixture(params=["memory", "upstash-sdk", "upstash-http", "upstash-lagging"])
def flows(request: pytest.FixtureRequest) -> Flows:
    if request.param == "memory":
        return in_memory()
    if request.param == "upstash-lagging":
        rough: RoughGateway = request.getfixturevalue("rough_gateway")
        rough.adjust(lag_ms=LAG_MS)
        return over_redis(
            HttpRedis(rough.url, rough.token), rough.url, rough.token, keys=own_keys()
        )
    rest = request.getfixturevalue("gateway")
    client = SdkRedis if request.param == "upstash-sdk" else HttpRedis
    return over_redis(client(rest.url, rest.token), rest.url, rest.token, keys=own_keys())


async def in_turns(calls: Sequence[Coroutine[Any, Any, Any]], at_once: int = 25) -> None:
    """Await many calls, a few at a time: of all at once the last would wait beyond its deadline."""
    for first in range(0, len(calls), at_once):
        await asyncio.gather(*calls[first : first + at_once])


def a_launch(flow: str = "f1", **changes: Any) -> Launch:
    """A crew of three steps, launched."""
    steps = tuple(Step(name, name.title(), "worker") for name in ("one", "two", "three"))
    given: dict[str, Any] = {
        "flow": flow,
        "digest": "request-1",
        "incarnation": secrets.token_hex(4),
        "crew": "example",
        "definition": {"name": "example"},
        "definition_digest": "digest-1",
        "inputs": {"file": "in_1"},
        "steps": steps,
        "created_ms": 1_700_000_000_000,
    }
    return Launch(**given | changes)


async def viewed(flows: Flows, flow: str = "f1") -> dict[str, Any]:
    """What a viewer makes of a flow's log."""
    return view([json.loads(entry.json) for entry in await whole_log(flows, flow)])


async def whole_log(flows: Flows, flow: str = "f1") -> Batch:
    """Every event of a flow, however many pages they are."""
    found = Batch()
    while page := await flows.log.entries(
        flows.tenant, flow, found[-1].number if found else 0, 10_000
    ):
        found += page
    return found


def view(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The state to which the first snapshot and all the deltas after it lead."""
    state: dict[str, Any] = {}
    for event in told:
        state = event.get("snapshot", state)
        state = jsonpatch.apply_patch(state, event.get("delta", []))
    return state
