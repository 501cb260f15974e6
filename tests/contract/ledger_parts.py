"""A flow of three steps that is launched and claimed, over any ledger."""

import json

from core.crews.ledger import Claim, StepBusy
from core.flows import Flow, Step, events
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 30_000


async def launched(flows: Flows, flow: str = "f1") -> Flow:
    await flows.ledger.create(flows.tenant, a_launch(flow))
    return await flows.ledger.state(flows.tenant, flow)


async def claimed(
    flows: Flows, step: Step, owner: str = "w1", lease_ms: int = LEASE_MS, flow: str = "f1"
) -> Claim | StepBusy:
    return await flows.ledger.claim(
        flows.tenant,
        flow,
        step,
        owner=owner,
        lease_ms=lease_ms,
        events=events.step_started(step.id, step.epoch + 1),
    )


async def held(flows: Flows, step: Step, owner: str = "w1", lease_ms: int = LEASE_MS) -> Claim:
    claim = await claimed(flows, step, owner, lease_ms)
    assert isinstance(claim, Claim)
    return claim


async def log_of(flows: Flows, flow: str = "f1") -> list[tuple[int, str]]:
    entries = await flows.log.entries(flows.tenant, flow, 0, 1000)
    return [(entry.number, json.loads(entry.json)["type"]) for entry in entries]
