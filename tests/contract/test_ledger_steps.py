"""Steps that come later, that failed, and that were done before. Over memory and over Redis."""

import asyncio
from dataclasses import replace

import pytest

from core.crews.ledger import Claim, FencedError, StepWrite
from core.errors import NotFoundError
from core.flows import Flow, Status, Step, events
from tests.fixtures_ports import Flows, a_launch, viewed

LEASE_MS = 30_000
PLAN = tuple(Step(f"one.work.1.{n}", f'Count "{n}" \\ ünicode', "worker") for n in (1, 2, 3))


async def launched(flows: Flows) -> Flow:
    await flows.ledger.create(flows.tenant, a_launch())
    return await flows.ledger.state(flows.tenant, "f1")


async def held(flows: Flows, step: Step, lease_ms: int = LEASE_MS) -> Claim:
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner=f"{step.id}{step.epoch}", lease_ms=lease_ms, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


async def test_new_steps_come_last_in_the_order_they_were_given(flows: Flows):
    before = await launched(flows)
    state = await flows.ledger.add_steps(flows.tenant, before, PLAN)
    assert state.steps == (*before.steps, *PLAN)
    assert state == await flows.ledger.state(flows.tenant, "f1")
    assert await viewed(flows) == state.public()


async def test_steps_are_added_once(flows: Flows):
    before = await launched(flows)
    first = await flows.ledger.add_steps(flows.tenant, before, PLAN[:2])
    assert await flows.ledger.add_steps(flows.tenant, before, PLAN[:2]) == first
    more = await flows.ledger.add_steps(flows.tenant, before, (*PLAN, PLAN[2]))
    assert [step.id for step in more.steps[3:]] == [step.id for step in PLAN]
    assert more.head.version == first.head.version + 1
    assert await viewed(flows) == more.public()


async def test_a_step_that_runs_is_not_begun_again_by_adding_it(flows: Flows):
    state = await launched(flows)
    await held(flows, state.steps[0])
    after = await flows.ledger.add_steps(flows.tenant, state, state.steps)
    assert (after.steps[0].state, after.steps[0].epoch) == ("running", 1)


async def test_eight_who_add_the_same_steps_add_them_once(flows: Flows):
    before = await launched(flows)
    added = await asyncio.gather(
        *(flows.ledger.add_steps(flows.tenant, before, PLAN) for _ in range(8))
    )
    assert {len(state.steps) for state in added} == {6}
    assert {state.head.version for state in added} == {2}


async def test_a_new_step_is_run_like_any_other(flows: Flows):
    state = await launched(flows)
    state = await flows.ledger.add_steps(flows.tenant, state, PLAN)
    claim = await held(flows, state.steps[4])
    after = await flows.ledger.commit(claim, 1, {"output": 2}, StepWrite())
    assert after.results == {"one.work.1.2": {"output": 2}}
    assert [step.state for step in after.steps] == [*["pending"] * 4, "done", "pending"]
    assert await viewed(flows) == after.public()


async def test_a_flow_that_has_ended_gets_no_steps(flows: Flows):
    state = await launched(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    with pytest.raises(FencedError):
        await flows.ledger.add_steps(flows.tenant, state, PLAN)
    with pytest.raises(NotFoundError):
        await flows.ledger.add_steps(flows.tenant, replace(state, id="nowhere"), PLAN)


async def test_a_step_keeps_the_error_of_its_last_attempt_until_it_is_done(flows: Flows):
    state = await launched(flows)
    claim = await held(flows, state.steps[0], lease_ms=1)
    await flows.ledger.emit(claim, 1, 1, StepWrite(events.custom("x", 1), error='no "JSON"\n'))
    await asyncio.sleep(0.02)
    failed = await flows.ledger.state(flows.tenant, "f1")
    assert failed.steps[0].error == 'no "JSON"\n'
    claim = await held(flows, failed.steps[0])
    again = await flows.ledger.state(flows.tenant, "f1")
    assert again.steps[0].error == 'no "JSON"\n'
    assert await viewed(flows) == again.public()
    done = await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    assert done.steps[0].error is None
    assert await viewed(flows) == done.public()


async def test_what_an_earlier_flow_found_need_not_be_done_again(flows: Flows):
    done = Step("one", "One", "worker", state="done", epoch=2, started_ms=5, finished_ms=9)
    results = {"one": {"output": 1, "raw": "1"}, "one.review.1": {"approve": True}}
    launch = a_launch(steps=(done, Step("two", "Two", "worker")), results=results)
    await flows.ledger.create(flows.tenant, launch)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert (state.steps, state.results) == (launch.steps, results)
    assert await viewed(flows) == state.public()
    with pytest.raises(FencedError):
        await held(flows, state.steps[0])
    claim = await held(flows, state.steps[1])
    after = await flows.ledger.commit(claim, 1, {"output": 2}, StepWrite())
    assert after.results == {**results, "two": {"output": 2}}


async def test_a_flow_is_what_it_was_launched_as(flows: Flows):
    webhooks = {"url": "https://example.com/ü", "events": ["end"]}
    launch = a_launch(webhooks=webhooks, definition_digest="d" * 64)
    await flows.ledger.create(flows.tenant, launch)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert (state.webhooks, state.definition_digest) == (webhooks, "d" * 64)
    assert (state.definition, state.inputs) == (launch.definition, launch.inputs)
    assert state.public() == launch.first_state().public()


async def test_a_step_counts_how_often_it_was_put_off_not_stopped(flows: Flows):
    step, counted = (await launched(flows)).steps[0], list[int]()
    for seq, delay_ms in enumerate((0, 1, 1, 0), 1):
        claimed = await held(flows, step)
        for _ in range(2):  # the second is a reply that was lost
            await flows.ledger.release(claimed, seq, StepWrite(), delay_ms=delay_ms, reason="r")
        step = (await flows.ledger.state(flows.tenant, "f1", fresh=True)).steps[0]
        counted.append(step.deferrals)
        await asyncio.sleep(0.01)
    assert counted == [0, 1, 2, 2]
    await held(flows, step)
    step = (await flows.ledger.state(flows.tenant, "f1", fresh=True)).steps[0]
    assert (step.epoch, step.attempts, step.deferrals) == (5, 1, 2)


async def test_a_step_that_is_put_off_says_why_and_until_when_as_long_as_it_is(flows: Flows):
    step = (await launched(flows)).steps[0]
    for delay_ms, why in ((1, 'the "provider" is büsy'), (0, "the worker's time is up"), (1, "r")):
        claimed = await held(flows, step)
        assert (await viewed(flows))["steps"][0]["waiting"] is None
        await flows.ledger.release(claimed, 1, StepWrite(), delay_ms=delay_ms, reason=why)
        state = await flows.ledger.state(flows.tenant, "f1", fresh=True)
        step, shown = state.steps[0], (await viewed(flows))["steps"][0]["waiting"]
        assert shown == step.deferred == state.public()["steps"][0]["waiting"]
        if delay_ms == 0:
            assert shown is None
            continue
        assert shown is not None
        assert shown["reason"] == why
        assert 0 <= shown["until_ms"] - state.updated_ms <= 1
        await asyncio.sleep(0.01)


async def test_a_step_of_a_flow_that_has_ended_waits_for_nothing(flows: Flows):
    claimed = await held(flows, (state := await launched(flows)).steps[0])
    await flows.ledger.release(claimed, 1, StepWrite(), delay_ms=60_000, reason="busy")
    await flows.ledger.transition(
        flows.tenant, "f1", Status.CANCELLED, status_epoch=state.status_epoch,
        events=events.run_finished("f1", None), error="cancelled",
    )  # fmt: skip
    state = await flows.ledger.state(flows.tenant, "f1", fresh=True)
    assert [step.deferred for step in state.steps] == [None] * len(state.steps)
    assert await viewed(flows) == state.public()
