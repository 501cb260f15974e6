"""Flows of four steps, and when they must be looked at."""

from core.crews.ledger import Claim, StepBusy
from core.flows import Flow, Step
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 30_000


FOUR = tuple(Step(name, name.title(), "worker") for name in ("one", "two", "three", "four"))


async def launched(flows: Flows, flow: str = "f1", tenant: str = "") -> Flow:
    tenant = tenant or flows.tenant
    await flows.ledger.create(tenant, a_launch(flow, steps=FOUR))
    return await flows.ledger.state(tenant, flow)


async def claim(
    flows: Flows, step: int = 0, lease_ms: int = LEASE_MS, *, more: bool = False, seen: int = 0
) -> Claim | StepBusy:
    state = await flows.ledger.state(flows.tenant, "f1")
    return await flows.ledger.claim(
        flows.tenant,
        "f1",
        state.steps[step],
        owner=f"w{step}.{state.steps[step].epoch}",
        lease_ms=lease_ms,
        events=[],
        seen=seen or state.head.version,
        more=more,
    )


async def held(
    flows: Flows, step: int = 0, lease_ms: int = LEASE_MS, *, more: bool = False
) -> Claim:
    claimed = await claim(flows, step, lease_ms, more=more)
    assert isinstance(claimed, Claim)
    return claimed


async def next_ms(flows: Flows) -> int:
    """In how many ms something is due, of what a look leaves alone."""
    taken = await flows.ledger.lease(1, 1, 3_600_000)
    assert taken.items == []
    assert taken.next_ms is not None
    return taken.next_ms
