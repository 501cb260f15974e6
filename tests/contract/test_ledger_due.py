"""When a flow must be looked at next. Each test runs over memory and over Redis."""

import asyncio

import pytest

from core.crews.ledger import Claim, FencedError, StepBusy, StepWrite
from core.errors import NotFoundError
from core.flows import Flow, Status, Step, events
from tests.fixtures_ports import Flows, a_launch, due

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


async def test_a_released_step_is_pending_at_once_and_costs_no_attempt(flows: Flows):
    await launched(flows)
    claimed = await held(flows)
    assert await due(flows) == []
    for _ in range(2):  # the second is a reply that was lost
        await flows.ledger.release(
            claimed, 1, StepWrite(events.custom("x", 1)), delay_ms=0, reason="stops"
        )
    assert await due(flows) == ["f1"]
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    assert (step.state, step.epoch, step.attempts) == ("pending", 1, 0)
    with pytest.raises(FencedError):
        await flows.ledger.emit(claimed, 2, LEASE_MS, StepWrite())
    again = await held(flows)
    assert (again.epoch, again.attempt) == (2, 1)
    with pytest.raises(FencedError):
        await flows.ledger.commit(claimed, 2, {"output": 1}, StepWrite())


async def test_a_late_release_gives_back_nothing(flows: Flows):
    """Of a step that somebody else has, that is done, or whose flow has ended."""
    await launched(flows)

    async def refused(claimed: Claim) -> None:
        with pytest.raises(FencedError):
            await flows.ledger.release(claimed, 9, StepWrite(), delay_ms=0, reason="stops")

    lost = await held(flows, 0, lease_ms=1)
    await asyncio.sleep(0.01)
    again = await held(flows, 0)
    await refused(lost)
    await flows.ledger.commit(again, 1, {"output": 1}, StepWrite())
    await refused(again)
    ends = await held(flows, 1)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    await refused(ends)


async def test_failures_of_a_flow_that_has_ended_are_not_counted(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    assert await flows.ledger.record_failure(flows.tenant, "f1") == 0


async def test_a_deferred_step_is_busy_until_its_time_and_due_then(flows: Flows):
    await launched(flows)
    claimed = await held(flows)
    write = StepWrite(events.text_start("m1"), message="m1")
    await flows.ledger.release(claimed, 1, write, delay_ms=600, reason="the provider says later")
    log = await flows.log.entries(flows.tenant, "f1", 0, 100)
    kinds = [entry.type for entry in log]
    assert kinds[-4:] == ["STATE_DELTA", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "CUSTOM"]
    assert '"retry_after_ms":600' in log[-1].json
    busy = await claim(flows)
    assert isinstance(busy, StepBusy)
    assert 0 < busy.remaining_ms <= 600
    assert await due(flows) == []
    await asyncio.sleep(0.65)
    assert await due(flows) == ["f1"]
    assert (await held(flows)).attempt == 1


async def test_two_deferred_steps_are_both_due_at_their_times(flows: Flows):
    await launched(flows)
    for step, delay_ms in ((0, 100), (1, 900)):
        await flows.ledger.release(
            await held(flows, step), 1, StepWrite(), delay_ms=delay_ms, reason="later"
        )
    await asyncio.sleep(0.12)
    assert await due(flows) == ["f1"]
    await held(flows, 0)
    assert await due(flows) == []
    await asyncio.sleep(0.9)
    assert await due(flows) == ["f1"]


async def test_failures_outside_of_steps_are_counted_until_something_is_committed(flows: Flows):
    await launched(flows)
    assert [await flows.ledger.record_failure(flows.tenant, "f1") for _ in range(3)] == [
        1,
        2,
        3,
    ]
    await flows.ledger.commit(await held(flows), 1, {"output": 1}, StepWrite())
    assert await flows.ledger.record_failure(flows.tenant, "f1") == 1
    with pytest.raises(NotFoundError):
        await flows.ledger.record_failure(flows.tenant, "nowhere")


async def test_a_flow_that_ended_is_never_due_again(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(
        flows.tenant, "f1", Status.FAILED, status_epoch=0, events=events.run_error("x", "y")
    )
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows) == []
