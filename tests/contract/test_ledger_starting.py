"""A worker that loads says so in a flow that waits for it, once."""

import asyncio

import pytest

from core.errors import NotFoundError
from core.flows import Status, events
from tests.contract.ledger_parts import held, launched, log_of
from tests.fixtures_ports import Flows, viewed


async def announced(flows: Flows, flow: str = "f1") -> None:
    await flows.ledger.announce_start(flows.tenant, flow, events.starting())


async def test_a_queued_flow_says_that_its_worker_starts(flows: Flows):
    before = await launched(flows)
    assert "starting_ms" not in before.public()
    await announced(flows)
    after = await flows.ledger.state(flows.tenant, "f1")
    assert (after.head.status, after.head.version) == (Status.QUEUED, before.head.version + 1)
    assert after.public()["starting_ms"] == after.updated_ms >= before.updated_ms
    assert (await log_of(flows))[2:] == [(3, "STATE_DELTA"), (4, "CUSTOM")]
    assert await viewed(flows) == after.public()


async def test_wake_ups_that_come_again_say_it_once(flows: Flows):
    await launched(flows)
    await asyncio.gather(*(announced(flows) for _ in range(5)))
    before = await flows.ledger.state(flows.tenant, "f1")
    await announced(flows)
    assert await flows.ledger.state(flows.tenant, "f1") == before
    assert len(await log_of(flows)) == 4


async def test_a_flow_that_has_begun_says_nothing_of_a_worker_that_starts(flows: Flows):
    state = await launched(flows)
    await held(flows, state.steps[0])
    before = await flows.ledger.state(flows.tenant, "f1")
    await announced(flows)
    assert await flows.ledger.state(flows.tenant, "f1") == before
    assert "starting_ms" not in before.public()


async def test_what_a_worker_said_at_its_start_is_kept_while_the_flow_goes_on(flows: Flows):
    await launched(flows)
    await announced(flows)
    state = await flows.ledger.state(flows.tenant, "f1")
    await held(flows, state.steps[0])
    begun = await flows.ledger.state(flows.tenant, "f1")
    assert begun.starting_ms == state.starting_ms
    assert await viewed(flows) == begun.public()


async def test_of_a_flow_that_is_gone_nothing_is_said(flows: Flows):
    with pytest.raises(NotFoundError):
        await announced(flows, "nowhere")
