"""When a flow must be looked at next. Each test runs over memory and over Redis."""

import asyncio

from core.crews.ledger import StepBusy, StepWrite
from core.flows import Status, events
from tests.contract.due_parts import LEASE_MS, claim, held, launched, next_ms
from tests.fixtures_ports import Flows, due


async def test_a_new_flow_is_due_and_leased_when_taken(flows: Flows):
    await launched(flows)
    taken = await flows.ledger.lease(10, 10, 20_000)
    assert taken.items == [(flows.tenant, "f1")]
    assert taken.next_ms is not None
    assert 19_000 < taken.next_ms <= 20_000
    assert await due(flows) == []
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows) == ["f1"]


async def test_where_nothing_waits_nothing_is_next(flows: Flows):
    assert (await flows.ledger.lease(1, 1, 1)).next_ms is None


async def test_of_many_due_flows_no_two_workers_take_the_same(flows: Flows):
    for number in range(12):
        await launched(flows, f"f{number}")
    taken = await asyncio.gather(*(due(flows, limit=5) for _ in range(4)))
    assert sorted(flow for part in taken for flow in part) == sorted(
        f"f{number}" for number in range(12)
    )


async def test_tenants_come_in_turn_and_none_before_its_turn(flows: Flows):
    """One that has many flows due, and had them first, gets no more than its share."""
    for number in range(20):
        await launched(flows, f"f{number}", tenant="busy")
    for tenant in ("b", "c", "d", "e"):
        await launched(flows, "g1", tenant=tenant)
        await launched(flows, "g2", tenant=tenant)
    order = [
        tenant for _ in range(9) for tenant, _ in (await flows.ledger.lease(2, 1, 60_000)).items
    ]
    for name in ("busy", "b", "c", "d", "e"):
        assert order[:5].count(name) == order[5:10].count(name) == 1
    assert order[10:] == ["busy"] * 4


async def test_a_tenant_for_which_no_room_was_left_is_the_first_next_time(flows: Flows):
    for tenant in ("a", "b", "c"):
        for number in range(4):
            await launched(flows, f"f{number}", tenant=tenant)
    looks = [(await flows.ledger.lease(4, 2, 60_000)).items for _ in range(3)]
    assert [sorted({tenant for tenant, _ in look}) for look in looks] == [
        ["a", "b"],
        ["a", "c"],
        ["b", "c"],
    ]


async def test_more_than_one_look_sees_of_a_tenant_is_due_at_once(flows: Flows):
    await asyncio.gather(*(launched(flows, f"f{number}") for number in range(120)))
    found = list[tuple[str, str]]()
    while (taken := await flows.ledger.lease(200, 200, LEASE_MS)).items:
        found += taken.items
        assert (taken.next_ms == 0) == (len(found) < 120)
    assert sorted(found) == sorted((flows.tenant, f"f{number}") for number in range(120))


async def test_a_look_goes_past_tenants_that_have_nothing_due_any_more(flows: Flows):
    """Many tenants have flows that were claimed since they were due, the last one has one to take."""
    for number in range(25):
        tenant = f"t{number:02}"
        state = await launched(flows, tenant=tenant)
        await flows.ledger.claim(
            tenant, "f1", state.steps[0], owner="w", lease_ms=LEASE_MS, events=[], seen=1
        )
    await launched(flows, tenant="last")
    assert (await flows.ledger.lease(10, 1, LEASE_MS)).items == [("last", "f1")]


async def test_a_share_bounds_what_one_tenant_gets_in_a_look(flows: Flows):
    for number in range(6):
        await launched(flows, f"f{number}")
    taken = await flows.ledger.lease(10, 4, 60_000)
    assert (len(taken.items), taken.next_ms) == (4, 0)
    taken = await flows.ledger.lease(10, 4, 60_000)
    assert len(taken.items) == 2
    assert taken.next_ms is not None
    assert taken.next_ms > 59_000


async def test_a_claimed_flow_is_due_when_its_lease_ends_and_a_beat_moves_that(flows: Flows):
    await launched(flows)
    claimed = await held(flows, lease_ms=80)
    assert await due(flows) == []
    await flows.ledger.emit(claimed, 1, LEASE_MS, StepWrite())
    await asyncio.sleep(0.1)
    assert LEASE_MS - 5_000 < await next_ms(flows) <= LEASE_MS


async def test_a_commit_leaves_the_flow_due_at_the_end_of_the_lease(flows: Flows):
    """Its worker goes on; if that dies first, somebody looks at what the commit made ready."""
    await launched(flows)
    claimed = await held(flows, lease_ms=1500)
    await flows.ledger.commit(claimed, 1, {"output": 1}, StepWrite())
    assert await due(flows) == []
    await asyncio.sleep(1.6)
    assert await due(flows) == ["f1"]


async def test_what_a_commit_made_ready_is_looked_at_although_another_step_beats(flows: Flows):
    await launched(flows)
    beats = await held(flows, 1)
    committed = await held(flows, 0, lease_ms=60)
    await flows.ledger.commit(committed, 1, {"output": 1}, StepWrite())
    await flows.ledger.emit(beats, 1, LEASE_MS, StepWrite())
    await asyncio.sleep(0.08)
    await flows.ledger.emit(beats, 2, LEASE_MS, StepWrite())
    assert await due(flows) == ["f1"]


async def test_a_claim_by_one_who_does_not_know_of_a_commit_is_no_look_at_it(flows: Flows):
    before = (await launched(flows)).head.version
    committed = await held(flows, 0, lease_ms=60)
    await flows.ledger.commit(committed, 1, {"output": 1}, StepWrite())
    await claim(flows, 1, seen=before)
    await asyncio.sleep(0.08)
    assert await due(flows) == ["f1"]


async def test_a_claim_by_one_who_knows_of_a_commit_is(flows: Flows):
    await launched(flows)
    committed = await held(flows, 0, lease_ms=60)
    await flows.ledger.commit(committed, 1, {"output": 1}, StepWrite())
    await held(flows, 1)
    await asyncio.sleep(0.08)
    assert await next_ms(flows) > LEASE_MS - 5_000


async def test_while_more_steps_are_free_the_flow_is_due(flows: Flows):
    await launched(flows)
    await held(flows, 0, more=True)
    assert await due(flows, 50) == ["f1"]
    await held(flows, 1)
    await asyncio.sleep(0.08)
    assert await next_ms(flows) > LEASE_MS - 5_000


async def test_a_step_that_dies_beside_one_that_beats_is_noticed(flows: Flows):
    await launched(flows)
    await held(flows, 0, lease_ms=60)
    beats = await held(flows, 1)
    for seq in range(1, 6):
        await flows.ledger.emit(beats, seq, LEASE_MS, StepWrite())
        await asyncio.sleep(0.02)
    assert await due(flows) == ["f1"]


async def test_who_finds_a_step_busy_leaves_the_flow_to_the_end_of_its_lease(flows: Flows):
    await launched(flows)
    await held(flows, lease_ms=5_000)
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows) == ["f1"]
    assert isinstance(await claim(flows), StepBusy)
    assert 4_000 < await next_ms(flows) <= 5_000


async def test_a_flow_that_has_changed_since_is_not_put_off(flows: Flows):
    """It was answered, say, while somebody who saw it wait put it off for a day."""
    seen = (await launched(flows)).head.version
    claimed = await held(flows)
    await flows.ledger.emit(claimed, 1, LEASE_MS, StepWrite(error="e"))
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    await flows.ledger.reschedule(flows.tenant, "f1", 3_600_000, seen=seen)
    assert await due(flows) == ["f1"]


async def test_a_flow_that_ended_is_never_due_again(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(
        flows.tenant, "f1", Status.FAILED, status_epoch=0, events=events.run_error("x", "y")
    )
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows) == []
