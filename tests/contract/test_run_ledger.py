"""What every RunLedger does. Each test runs over memory and over Redis with both clients."""

import asyncio
import json

import pytest

from core.crews.ledger import Claim, FencedError, StepWrite
from core.errors import ConflictError, NotFoundError
from core.flows import Status, Step, events
from tests.contract.ledger_parts import LEASE_MS, claimed, held, launched, log_of
from tests.fixtures_ports import Flows, a_launch, viewed


async def test_a_new_flow_is_queued_with_one_event_and_all_its_steps(flows: Flows):
    state = await launched(flows)
    assert (state.head.status, state.head.last_event, state.head.version) == (Status.QUEUED, 2, 1)
    assert [(s.id, s.state, s.epoch) for s in state.steps] == [
        ("one", "pending", 0),
        ("two", "pending", 0),
        ("three", "pending", 0),
    ]
    assert await log_of(flows) == [(1, "RUN_STARTED"), (2, "STATE_SNAPSHOT")]


async def test_the_same_request_makes_one_flow(flows: Flows):
    launch = a_launch()
    assert await flows.ledger.create(flows.tenant, launch) is True
    assert await flows.ledger.create(flows.tenant, launch) is False
    assert len(await log_of(flows)) == 2


async def test_another_request_under_the_same_id_is_refused(flows: Flows):
    await launched(flows)
    with pytest.raises(ConflictError):
        await flows.ledger.create(flows.tenant, a_launch(digest="request-2"))


async def test_a_request_is_known_by_the_flow_it_made(flows: Flows):
    launch = a_launch()
    assert not await flows.ledger.created_by(flows.tenant, launch.flow, launch.digest)
    await flows.ledger.create(flows.tenant, launch)
    assert await flows.ledger.created_by(flows.tenant, launch.flow, launch.digest)
    with pytest.raises(ConflictError):
        await flows.ledger.created_by(flows.tenant, launch.flow, "request-2")


async def test_fifty_equal_requests_at_once_make_one_flow(flows: Flows):
    made = await asyncio.gather(*(flows.ledger.create(flows.tenant, a_launch()) for _ in range(50)))
    assert sorted(made) == [False] * 49 + [True]
    assert len(await log_of(flows)) == 2


async def test_another_tenant_sees_nothing(flows: Flows):
    await launched(flows)
    with pytest.raises(NotFoundError):
        await flows.ledger.state("somebody-else", "f1")


async def test_a_write_sent_again_changes_nothing_and_returns_the_same_number(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    write = StepWrite(events.custom("agent_insight", "ä\u2028\x1e{}"), error="ö\ud800")
    first = await flows.ledger.emit(claim, 1, LEASE_MS, write)
    later = await flows.ledger.emit(claim, 2, LEASE_MS, StepWrite(events.custom("x", 1)))
    assert (first, later) == (6, 7)
    assert await flows.ledger.emit(claim, 2, LEASE_MS, StepWrite(events.custom("x", 1))) == later
    after = await flows.ledger.state(flows.tenant, "f1")
    assert after.steps[0].error == "ö?"
    assert [number for number, _ in await log_of(flows)] == list(range(1, 8))


async def test_an_error_bumps_the_state_version_and_events_alone_do_not(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    before = (await flows.log.head(flows.tenant, "f1")).version
    await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1)))
    assert (await flows.log.head(flows.tenant, "f1")).version == before
    await flows.ledger.emit(claim, 2, LEASE_MS, StepWrite(error="too long"))
    assert (await flows.log.head(flows.tenant, "f1")).version == before + 1


async def test_a_commit_returns_the_state_after_it(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    write = StepWrite(events.step_finished("one"))
    after = await flows.ledger.commit(claim, 1, {"output": {"ü": [1.5, None]}}, write)
    assert after.results == {"one": {"output": {"ü": [1.5, None]}}}
    assert (after.steps[0].state, after.steps[0].error) == ("done", None)
    assert after == await flows.ledger.state(flows.tenant, "f1")


async def test_a_commit_whose_reply_was_lost_changes_nothing_when_sent_again(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    write = StepWrite(events.step_finished("one"))
    first = await flows.ledger.commit(claim, 1, {"output": 1}, write)
    assert await flows.ledger.commit(claim, 1, {"output": 1}, write) == first


async def test_a_result_is_never_replaced(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    first = await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    with pytest.raises(FencedError):
        await flows.ledger.commit(claim, 2, {"output": 2}, StepWrite())
    assert await flows.ledger.state(flows.tenant, "f1") == first


async def test_an_end_is_not_replaced_by_one_that_knew_of_it(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    with pytest.raises(FencedError):
        await flows.ledger.transition(
            flows.tenant, "f1", Status.CANCELLED, status_epoch=1, events=[]
        )


async def test_the_end_is_final_and_comes_once(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    for _ in range(2):  # the second is a reply that was lost
        await flows.ledger.transition(
            flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0,
            events=events.run_finished("f1", {"a": 1}), output={"a": 1},
        )  # fmt: skip
    with pytest.raises(FencedError):
        await flows.ledger.transition(
            flows.tenant, "f1", Status.FAILED, status_epoch=0, events=events.run_error("x", "y")
        )
    with pytest.raises(FencedError):
        await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("late", 1)))
    with pytest.raises(FencedError):
        await flows.ledger.commit(claim, 1, {"output": "late"}, StepWrite())
    with pytest.raises(FencedError):
        await claimed(flows, state.steps[1], "w2")
    after = await flows.ledger.state(flows.tenant, "f1")
    assert (after.head.status, after.output) == (Status.SUCCEEDED, {"a": 1})
    assert [kind for _, kind in await log_of(flows)].count("RUN_FINISHED") == 1


async def test_a_write_from_before_the_end_may_still_ask_for_its_number(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0])
    number = await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1)))
    await flows.ledger.transition(
        flows.tenant, "f1", Status.FAILED, status_epoch=0, events=events.run_error("x", "y")
    )
    assert await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1))) == number


async def test_writing_to_a_flow_that_is_gone_is_refused(flows: Flows):
    claim = Claim(flows.tenant, "nowhere", "one", 1)
    with pytest.raises(NotFoundError):
        await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite())
    with pytest.raises(NotFoundError):
        await flows.ledger.commit(claim, 1, {}, StepWrite())
    with pytest.raises(NotFoundError):
        await claimed(flows, Step("one", "", ""), flow="nowhere")
    with pytest.raises(NotFoundError):
        await flows.ledger.transition(
            flows.tenant, "nowhere", Status.FAILED, status_epoch=0, events=[]
        )


async def test_eight_writers_at_once_leave_no_gap_and_no_repeat(flows: Flows):
    steps = tuple(Step(f"s{i}", f"S{i}", "w") for i in range(8))
    await flows.ledger.create(flows.tenant, a_launch(steps=steps))

    async def write(step: Step) -> None:
        claim = await held(flows, step, owner=step.id)
        for seq in range(1, 21):
            await flows.ledger.emit(claim, seq, LEASE_MS, StepWrite(events.custom(step.id, seq)))

    await asyncio.gather(*(write(step) for step in steps))
    entries = await flows.log.entries(flows.tenant, "f1", 0, 1000)
    assert [entry.number for entry in entries] == list(range(1, 1 + 2 + 2 * 8 + 160))
    customs = [json.loads(entry.json) for entry in entries if "CUSTOM" in entry.json]
    for step in steps:
        assert [e["value"] for e in customs if e["name"] == step.id] == list(range(1, 21))


async def test_the_log_leads_to_the_state_by_snapshot_and_deltas(flows: Flows):
    """What a viewer makes of the events is what a poller reads, at every version."""
    state = await launched(flows)
    for name, error in (("one", "no answer"), ("two", None)):
        claim = await held(flows, next(s for s in state.steps if s.id == name), owner=name)
        await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1), error=error))
        assert await viewed(flows) == (await flows.log.snapshot(flows.tenant, "f1")).public()
        write = StepWrite(events.step_finished(name))
        state = await flows.ledger.commit(claim, 2, {"output": name}, write)
        assert await viewed(flows) == (await flows.log.snapshot(flows.tenant, "f1")).public()
    await flows.ledger.transition(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0,
        events=events.run_finished("f1", {"ü": [1.5]}), output={"ü": [1.5], "/~": {}},
    )  # fmt: skip
    assert await viewed(flows) == (await flows.log.snapshot(flows.tenant, "f1")).public()
