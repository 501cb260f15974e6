"""A flow's time, its waiting and its answers. Each test runs over memory and over Redis."""

import asyncio
import json
import time

import pytest

from core.crews.ledger import Claim, ExpiredError, FencedError, StepWrite
from core.errors import NotFoundError
from core.flows import Flow, Status, events
from tests.fixtures_ports import Flows, a_launch, due, viewed

LEASE_MS = 30_000
HOUR_MS = 3_600_000
QUESTION = {"name": "one.review.1", "step": "one", "output": {"ü": [1.5, None]}}


async def launched(flows: Flows, limit_ms: int | None = None) -> Flow:
    await flows.ledger.create(flows.tenant, a_launch(time_limit_ms=limit_ms))
    return await flows.ledger.state(flows.tenant, "f1")


async def held(flows: Flows, number: int = 0, lease_ms: int = LEASE_MS) -> Claim:
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[number]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner=f"w{step.epoch}", lease_ms=lease_ms, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


async def wait(flows: Flows, epoch: int = 0) -> None:
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=epoch,
        events=events.custom("waiting", QUESTION), waiting=QUESTION,
    )  # fmt: skip


async def answer(flows: Flows, epoch: int = 1) -> None:
    await flows.ledger.transition(
        flows.tenant, "f1", Status.RUNNING, status_epoch=epoch,
        events=events.custom("resumed", {}), answer=("one.review.1", {"approve": True}),
    )  # fmt: skip


async def over(flows: Flows) -> Claim:
    """A flow with a step under way whose time is over."""
    await launched(flows, limit_ms=150)
    claim = await held(flows)
    await asyncio.sleep(0.16)
    return claim


async def test_the_deadline_is_the_stores_time_and_the_limit(flows: Flows):
    before = time.time_ns() // 1_000_000
    state = await launched(flows, limit_ms=HOUR_MS)
    assert state.deadline_ms is not None
    assert before <= state.deadline_ms - HOUR_MS <= time.time_ns() // 1_000_000 + 1


async def test_a_flow_without_a_limit_has_all_the_time(flows: Flows):
    assert (await launched(flows)).deadline_ms is None
    await held(flows)


async def test_nothing_is_begun_told_or_put_off_when_the_time_is_over(flows: Flows):
    claim = await over(flows)
    version = (await flows.log.head(flows.tenant, "f1")).version
    with pytest.raises(ExpiredError):
        await held(flows, 1)
    with pytest.raises(ExpiredError):
        await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1)))
    with pytest.raises(ExpiredError):
        await flows.ledger.reschedule(flows.tenant, "f1", 1000)
    assert (await flows.log.head(flows.tenant, "f1")).version == version


async def test_a_held_step_is_no_excuse_when_the_time_is_over(flows: Flows):
    await over(flows)
    with pytest.raises(ExpiredError):
        await held(flows)


async def test_what_was_sent_in_time_may_be_sent_again_after_it(flows: Flows):
    await launched(flows, limit_ms=150)
    claim = await held(flows)
    number = await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1)))
    await asyncio.sleep(0.16)
    assert await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", 1))) == number


async def test_a_result_that_comes_too_late_is_kept_all_the_same(flows: Flows):
    claim = await over(flows)
    state = await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    assert state.results == {"one": {"output": 1}}


async def test_a_flow_whose_time_is_over_can_be_ended(flows: Flows):
    await over(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    assert (await flows.ledger.state(flows.tenant, "f1")).head.status is Status.FAILED


async def test_a_flow_that_is_put_off_is_due_after_the_delay(flows: Flows):
    await launched(flows)
    await flows.ledger.reschedule(flows.tenant, "f1", HOUR_MS)
    assert await due(flows, HOUR_MS) == []
    await flows.ledger.reschedule(flows.tenant, "f1", 1)
    await asyncio.sleep(0.02)
    assert await due(flows, HOUR_MS) == ["f1"]


async def test_a_flow_is_not_put_off_beyond_the_end_of_its_time(flows: Flows):
    await launched(flows, limit_ms=150)
    await flows.ledger.reschedule(flows.tenant, "f1", HOUR_MS)
    assert await due(flows, HOUR_MS) == []
    await asyncio.sleep(0.16)
    assert await due(flows, HOUR_MS) == ["f1"]


@pytest.mark.parametrize("what", ["claims", "beats", "is put off", "commits"])
async def test_no_lease_and_no_delay_keeps_a_flow_from_the_end_of_its_time(flows: Flows, what: str):
    """A worker that lives, or a provider that says to come back tomorrow, moves no deadline."""
    await launched(flows, limit_ms=1000)
    claim = await held(flows, lease_ms=HOUR_MS)
    match what:
        case "beats":
            await flows.ledger.emit(claim, 1, HOUR_MS, StepWrite())
        case "is put off":
            delayed = flows.ledger.release
            await delayed(claim, 1, StepWrite(), delay_ms=HOUR_MS, reason="tomorrow")
        case "commits":
            await flows.ledger.commit(claim, 1, {"output": 1}, StepWrite())
    assert await due(flows) == []
    await asyncio.sleep(1.05)
    assert await due(flows) == ["f1"]


async def test_a_flow_that_has_ended_is_not_put_off(flows: Flows):
    await launched(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.FAILED, status_epoch=0, events=[])
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows, HOUR_MS) == []
    with pytest.raises(NotFoundError):
        await flows.ledger.reschedule(flows.tenant, "nowhere", 0)


async def test_a_flow_that_waits_says_for_what_and_is_not_due(flows: Flows):
    await launched(flows)
    await held(flows, lease_ms=1)
    await wait(flows)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert (state.head.status, state.waiting) == (Status.WAITING, QUESTION)
    assert await viewed(flows) == state.public()
    assert await due(flows, HOUR_MS) == []


async def test_a_flow_that_waits_is_due_when_its_time_is_over(flows: Flows):
    await launched(flows, limit_ms=150)
    await wait(flows)
    assert await due(flows, HOUR_MS) == []
    await asyncio.sleep(0.16)
    assert await due(flows, HOUR_MS) == ["f1"]


async def test_no_step_of_a_flow_that_waits_is_begun(flows: Flows):
    await launched(flows)
    await wait(flows)
    with pytest.raises(FencedError):
        await held(flows, 1)


async def test_an_answer_is_one_more_result_and_makes_the_flow_due(flows: Flows):
    await launched(flows)
    await wait(flows)
    await answer(flows)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert (state.head.status, state.waiting) == (Status.RUNNING, None)
    assert state.results == {"one.review.1": {"approve": True}}
    assert await viewed(flows) == state.public()
    assert await due(flows, HOUR_MS) == ["f1"]
    assert (await held(flows, 1)).epoch == 1


async def test_an_answer_whose_reply_was_lost_is_told_once(flows: Flows):
    await launched(flows)
    await wait(flows)
    await answer(flows)
    await answer(flows)
    told = [e.json for e in await flows.log.entries(flows.tenant, "f1", 0, 100)]
    assert [json.loads(event).get("name") for event in told].count("resumed") == 1


async def test_of_two_different_answers_one_is_refused(flows: Flows):
    """Also where both were read off the same question, and whichever comes first."""
    await launched(flows)
    await wait(flows)

    async def answered(approve: bool) -> bool:
        try:
            await flows.ledger.transition(
                flows.tenant, "f1", Status.RUNNING, status_epoch=1, events=[],
                answer=("one.review.1", {"approve": approve}),
            )  # fmt: skip
        except FencedError:
            return False
        return True

    kept = await asyncio.gather(*(answered(number % 2 == 0) for number in range(10)))
    assert set(kept[::2]) == {not kept[1]}  # the same answer is the same transition
    assert set(kept[1::2]) == {kept[1]}
    results = (await flows.ledger.state(flows.tenant, "f1")).results
    assert results == {"one.review.1": {"approve": kept[0]}}


@pytest.mark.parametrize(
    ("end", "left"),
    [(Status.FAILED, "failed"), (Status.CANCELLED, "cancelled"), (Status.SUCCEEDED, "cancelled")],
)
async def test_steps_that_run_end_with_their_flow(flows: Flows, end: Status, left: str):
    await launched(flows)
    done = await held(flows, 0)
    await flows.ledger.commit(done, 1, {"output": 1}, StepWrite())
    await held(flows, 1)
    await flows.ledger.transition(flows.tenant, "f1", end, status_epoch=0, events=[])
    state = await flows.ledger.state(flows.tenant, "f1")
    assert [step.state for step in state.steps] == ["done", left, "pending"]
    assert state.steps[1].finished_ms is not None
    assert await viewed(flows) == state.public()


async def test_of_two_answers_the_first_counts(flows: Flows):
    await launched(flows)
    await wait(flows)
    await answer(flows)
    await wait(flows, epoch=2)
    with pytest.raises(FencedError):
        await answer(flows, epoch=1)
    assert (await flows.ledger.state(flows.tenant, "f1")).waiting == QUESTION


async def test_a_flow_that_waits_can_be_ended(flows: Flows):
    await launched(flows)
    await wait(flows)
    await flows.ledger.transition(flows.tenant, "f1", Status.CANCELLED, status_epoch=1, events=[])
    state = await flows.ledger.state(flows.tenant, "f1")
    assert (state.head.status, state.waiting) == (Status.CANCELLED, None)
    assert await viewed(flows) == state.public()
    await flows.ledger.reschedule(flows.tenant, "f1", 0)
    assert await due(flows, HOUR_MS) == []
