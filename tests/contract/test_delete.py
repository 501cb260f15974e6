"""Deleting flows: what has ended goes with all that is kept of it, what has not stays."""

import pytest

from core.crews.ledger import Claim, FencedError, StepWrite
from core.errors import ConflictError, NotFoundError
from core.flows import Status, events
from tests.fixtures_ports import Flows, a_launch, due

WEBHOOKS = {"url": "https://example.com"}


async def ended(flows: Flows, flow: str = "f1") -> Claim:
    """Create a flow, claim its first step, end it."""
    await flows.ledger.create(flows.tenant, a_launch(flow, webhooks=WEBHOOKS))
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=30_000, events=[]
    )
    assert isinstance(claim, Claim)
    await flows.ledger.transition(
        flows.tenant, flow, Status.FAILED, status_epoch=0, events=events.run_error("no", "step"),
        error="no",
    )  # fmt: skip
    return claim


async def test_nothing_of_a_deleted_flow_can_be_read(flows: Flows):
    await ended(flows)
    await flows.ledger.delete(flows.tenant, "f1")
    for read in (flows.ledger.state, flows.log.head, flows.log.snapshot):
        with pytest.raises(NotFoundError):
            await read(flows.tenant, "f1", fresh=True)
    assert await flows.log.recent(flows.tenant, 10) == []
    assert await due(flows) == []


async def test_a_deleted_flow_is_gone_for_who_deletes_it_again(flows: Flows):
    await ended(flows)
    await flows.ledger.delete(flows.tenant, "f1")
    with pytest.raises(NotFoundError):
        await flows.ledger.delete(flows.tenant, "f1")


async def test_what_has_not_ended_is_not_deleted(flows: Flows):
    await flows.ledger.create(flows.tenant, a_launch())
    with pytest.raises(ConflictError, match="the flow is queued: cancel it first"):
        await flows.ledger.delete(flows.tenant, "f1")
    assert (await flows.ledger.state(flows.tenant, "f1")).head.status is Status.QUEUED


async def test_another_tenants_flow_is_not_deleted(flows: Flows):
    await ended(flows)
    with pytest.raises(NotFoundError):
        await flows.ledger.delete("somebody-else", "f1")
    assert (await flows.log.head(flows.tenant, "f1", fresh=True)).status is Status.FAILED


async def test_a_worker_that_is_late_brings_nothing_back(flows: Flows):
    claim = await ended(flows)
    await flows.ledger.delete(flows.tenant, "f1")
    for write in (
        flows.ledger.emit(claim, 1, 30_000, StepWrite(events.custom("late", 1))),
        flows.ledger.commit(claim, 2, {"output": "late", "raw": "late"}, StepWrite()),
        flows.ledger.release(claim, 3, StepWrite(), delay_ms=0, reason="late"),
    ):
        with pytest.raises((NotFoundError, FencedError)):
            await write
    assert await flows.log.recent(flows.tenant, 10) == []


async def test_its_id_is_free_for_a_new_flow_which_comes_last(flows: Flows):
    await ended(flows)
    await ended(flows, "f2")
    await flows.ledger.delete(flows.tenant, "f1")
    assert await flows.ledger.create(flows.tenant, a_launch(digest="another")) is True
    listed = await flows.log.recent(flows.tenant, 10)
    assert [flow.id for flow in listed] == ["f1", "f2"]
    assert len({flow.order for flow in listed}) == 2
