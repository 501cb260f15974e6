"""What every adapter keeps to: each flow's task counts once in its trial, which ends when it must."""

import asyncio
import random
from dataclasses import replace

import pytest

from core.costs.model_choices import MOST_TRIALS, Choice, Override, arm_of, task_outcome
from core.costs.trials import ERROR, Arm, Evidence, Signal, Verdict
from core.crews.control import FlowControl
from core.crews.ledger import FencedError
from core.crews.trials import record_feedback
from core.errors import ConflictError, NotFoundError
from core.flows import Flow, Status
from tests.fixtures_ports import Flows
from tests.trial_parts import (
    a_trial,
    claimed,
    committed,
    failed,
    in_arm,
    launched,
    one_more,
    outcome,
    state_of,
    tallies,
    the_trial,
    without_times,
)


async def test_flows_that_are_launched_after_a_choice_have_its_model(flows: Flows):
    before = await launched(flows, "before")
    await flows.trials.choose(flows.tenant, "example", "one", "openai/small")
    after = await launched(flows, "after")
    assert (before.models, after.models) == ({}, {"one": Choice("openai/small")})
    assert await flows.trials.overrides(flows.tenant) == [
        Override("example", "one", "openai/small")
    ]
    assert (await state_of(flows, "before")).models == {}
    await flows.trials.choose(flows.tenant, "example", "one", None)
    assert (await launched(flows, "last")).models == {}
    assert await flows.trials.overrides(flows.tenant) == []


async def test_a_trial_is_kept_as_it_was_given(flows: Flows):
    trial = a_trial(share=0.25, evidence=Evidence(margin=0.02, most=77))
    begun = await flows.trials.start(flows.tenant, trial)
    assert without_times(begun) == trial
    assert begun.started_ms > 0
    assert await flows.trials.start(flows.tenant, trial) == begun  # sent again
    assert await flows.trials.all(flows.tenant) == [begun]
    assert await flows.trials.overrides(flows.tenant) == [Override("example", "one", None, "r1")]


async def test_a_flow_s_arm_follows_from_its_id_and_is_kept(flows: Flows):
    await flows.trials.choose(flows.tenant, "example", "one", "openai/chosen")
    trial = await flows.trials.start(flows.tenant, a_trial(share=0.3), "openai/chosen")
    models = {Arm.IN_USE: "openai/chosen", Arm.CHEAPER: "openai/small"}
    seen = set[Arm | None]()
    for number in range(20):
        arm = arm_of(trial.run, f"f{number}", 0.3)
        seen.add(arm)
        state = await launched(flows, f"f{number}")
        if arm is None:
            assert state.models == {"one": Choice("openai/chosen")}
        else:
            assert state.models == {"one": Choice(models[arm], "r1", trial.run, arm)}
    assert seen == {Arm.IN_USE, Arm.CHEAPER, None}


async def test_a_task_whose_answers_are_critical_is_in_no_trial(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial(task="three"))
    assert (await in_arm(flows, trial, Arm.CHEAPER)).models == {}
    assert (await in_arm(flows, trial, Arm.IN_USE)).models == {}


async def test_a_committed_step_counts_once_however_often_it_is_sent(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    claim = await claimed(flows, await in_arm(flows, trial, Arm.CHEAPER))
    for _ in range(3):
        await committed(flows, claim, 0.5)
    assert tallies(await the_trial(flows)) == [(0, 0), (1, 0.5)]


async def test_a_step_that_is_begun_again_stays_in_its_arm_and_counts_once(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await in_arm(flows, trial, Arm.CHEAPER)
    killed = await claimed(flows, state, lease_ms=1)
    await asyncio.sleep(0.02)
    second = await claimed(flows, state, owner="w2")
    assert (await state_of(flows, state.id)).models == state.models
    await committed(flows, second)
    with pytest.raises(FencedError):
        await committed(flows, killed, 0.0)
    assert tallies(await the_trial(flows)) == [(0, 0), (1, 1)]


async def test_a_flow_that_fails_at_a_task_counts_it_as_bad_once(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await in_arm(flows, trial, Arm.IN_USE)
    for _ in range(2):
        await failed(flows, state)
    assert tallies(await the_trial(flows)) == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("begun", "counted"), [(True, [(0, 0), (1, 0)]), (False, [(0, 0), (0, 0)])]
)
async def test_a_flow_that_is_cancelled_at_a_task_counts_it_as_bad(
    flows: Flows, begun: bool, counted: list[tuple[int, float]]
):
    """Who waits in vain for a model cancels the flow: what it answered otherwise is not all that it did."""
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await in_arm(flows, trial, Arm.CHEAPER)
    if begun:
        await claimed(flows, state)
    for _ in range(2):
        await FlowControl(flows.ledger, flows.wake_queue).cancel(tenant=flows.tenant, flow=state.id)
    assert tallies(await the_trial(flows)) == counted


async def test_what_is_not_final_is_only_remembered(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await in_arm(flows, trial, Arm.CHEAPER)
    told = outcome(state, 0.5)
    assert told is not None
    await flows.trials.record(flows.tenant, state.id, [replace(told, final=False)])
    assert tallies(await the_trial(flows)) == [(0, 0), (0, 0)]
    await committed(flows, await claimed(flows, state), 1.0)
    assert tallies(await the_trial(flows)) == [(0, 0), (1, 0.5)]


async def test_a_person_s_first_word_counts_beside_the_answer(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await one_more(flows, trial, Arm.CHEAPER, 1.0)
    rejected = task_outcome(state.models["one"], "one", Signal.PEOPLE, 0.0)
    assert rejected is not None
    waiting = {"review": "one.review.1", "task": "one"}
    for epoch, to in enumerate((Status.WAITING, Status.RUNNING)):
        is_answer = to is Status.RUNNING
        await flows.ledger.transition(
            flows.tenant, state.id, to, status_epoch=epoch, events=[],
            waiting=None if is_answer else waiting, outcomes=[rejected] if is_answer else [],
        )  # fmt: skip
    await record_feedback(flows.trials, flows.tenant, state, good=True)  # too late
    found = await the_trial(flows)
    assert tallies(found, Signal.PEOPLE) == [(0, 0), (1, 0)]
    assert tallies(found) == [(0, 0), (1, 1)]


async def test_feedback_counts_for_flows_that_are_over_and_costs_others_nothing(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    state = await in_arm(flows, trial, Arm.IN_USE)
    await failed(flows, state)
    await record_feedback(flows.trials, flows.tenant, state, good=True)
    await record_feedback(flows.trials, flows.tenant, replace(state, models={}), good=True)
    assert tallies(await the_trial(flows), Signal.PEOPLE) == [(1, 1), (0, 0)]
    with pytest.raises(NotFoundError):
        await record_feedback(flows.trials, flows.tenant, replace(state, id="gone"), good=True)


async def test_a_trial_that_does_harm_stops_in_the_call_that_shows_it(flows: Flows):
    await flows.trials.choose(flows.tenant, "example", "one", "openai/chosen")
    begun = await flows.trials.start(flows.tenant, a_trial(), "openai/chosen")
    late = await in_arm(flows, begun, Arm.CHEAPER)
    while (trial := await the_trial(flows)).ended_ms is None:
        await one_more(flows, begun, Arm.IN_USE, 1.0)
        await one_more(flows, begun, Arm.CHEAPER, 0.0)
    assert trial.verdict is Verdict.WORSE
    assert trial.ended_ms is not None
    assert trial.evidence.answers.cheaper.outcomes < 12
    after = await in_arm(flows, begun, Arm.CHEAPER)
    assert after.models == {"one": Choice("openai/chosen")}
    assert await flows.trials.overrides(flows.tenant) == [
        Override("example", "one", "openai/chosen")
    ]
    await committed(
        flows, await claimed(flows, late), 0.0
    )  # it keeps its model, and counts no more
    assert await the_trial(flows) == trial


async def test_a_trial_that_ends_well_changes_no_model_until_somebody_does(flows: Flows):
    evidence = Evidence(margin=0.9)  # so few answers can tell
    trial = await flows.trials.start(flows.tenant, a_trial(evidence=evidence))
    with pytest.raises(ConflictError):
        await flows.trials.choose(flows.tenant, "example", "one", "openai/small")
    while (await the_trial(flows)).ended_ms is None:
        for arm in Arm:
            await one_more(flows, trial, arm, 1.0)
    assert (await the_trial(flows)).verdict is Verdict.AS_GOOD
    assert (await launched(flows, "after")).models == {}
    await flows.trials.choose(flows.tenant, "example", "one", "openai/small")
    assert (await launched(flows, "chosen")).models == {"one": Choice("openai/small")}


async def test_answers_that_nothing_checks_never_show_that_a_model_is_as_good_but_people_do(
    flows: Flows,
):
    evidence = Evidence(margin=0.9, most=100)  # so few answers can tell
    trial = await flows.trials.start(flows.tenant, a_trial(evidence=evidence))
    told = list[Flow]()
    for _ in range(12):
        for arm in Arm:
            state = await in_arm(flows, trial, arm)
            taken = outcome(state, 1.0)
            assert taken is not None
            await flows.trials.record(flows.tenant, state.id, [replace(taken, checked=False)])
            told.append(state)
    assert sum((await the_trial(flows)).evidence.answers.against_worse) * ERROR >= 1
    assert (await the_trial(flows)).verdict is None
    for state in told:
        await record_feedback(flows.trials, flows.tenant, state, good=True)
    assert (await the_trial(flows)).verdict is Verdict.AS_GOOD


async def test_a_trial_that_was_stopped_has_no_verdict_and_takes_no_flows(flows: Flows):
    trial = await flows.trials.start(flows.tenant, a_trial())
    late = await in_arm(flows, trial, Arm.CHEAPER)
    stopped = await flows.trials.stop(flows.tenant, "r1")
    await asyncio.sleep(0.005)
    assert await flows.trials.stop(flows.tenant, "r1") == stopped
    assert stopped.ended_ms is not None
    assert stopped.verdict is None
    assert (await in_arm(flows, trial, Arm.CHEAPER)).models == {}
    await committed(flows, await claimed(flows, late), 0.0)
    assert tallies(await the_trial(flows)) == [(0, 0), (0, 0)]
    with pytest.raises(NotFoundError):
        await flows.trials.stop(flows.tenant, "r2")


async def test_what_comes_late_of_an_earlier_trial_does_not_count_in_the_next(flows: Flows):
    first = await flows.trials.start(flows.tenant, a_trial())
    late = await in_arm(flows, first, Arm.CHEAPER)
    await flows.trials.stop(flows.tenant, "r1")
    await flows.trials.start(flows.tenant, a_trial())
    await committed(flows, await claimed(flows, late), 0.0)
    assert tallies(await the_trial(flows)) == [(0, 0), (0, 0)]


async def test_at_a_task_runs_one_trial(flows: Flows):
    await flows.trials.start(flows.tenant, a_trial())
    for other in (a_trial(), a_trial(id="r2")):
        with pytest.raises(ConflictError, match="r1 runs there"):
            await flows.trials.start(flows.tenant, other)
    await flows.trials.start(flows.tenant, a_trial(id="r2", task="two"))


async def test_of_trials_that_are_over_the_oldest_are_forgotten(flows: Flows):
    for number in range(MOST_TRIALS):
        await flows.trials.start(flows.tenant, a_trial(id=f"r{number}"))
        await flows.trials.stop(flows.tenant, f"r{number}")
        if number == 0:
            await asyncio.sleep(0.005)
    await flows.trials.start(flows.tenant, a_trial(id="one more"))
    kept = {trial.id for trial in await flows.trials.all(flows.tenant)}
    assert len(kept) == MOST_TRIALS
    assert "r0" not in kept


async def test_a_trial_is_reckoned_as_the_core_reckons_it(flows: Flows):
    chance = random.Random(11)
    trial = await flows.trials.start(flows.tenant, a_trial(evidence=Evidence(margin=0.07, most=60)))
    expected = trial.evidence
    while expected.verdict is None:
        arm = Arm.IN_USE if chance.random() < 0.6 else Arm.CHEAPER
        state = await in_arm(flows, trial, arm)
        for signal in Signal:
            quality = chance.choice([0.0, 0.5, 1.0])
            told = outcome(state, quality, signal)
            if told is not None:
                await flows.trials.record(flows.tenant, state.id, [told])
            if expected.verdict is None:
                expected = expected.add(signal, arm, quality)
    found = await the_trial(flows)
    for one, other in (
        (found.evidence.answers, expected.answers),
        (found.evidence.people, expected.people),
    ):
        assert one.against_equal == pytest.approx(other.against_equal)
        assert one.against_worse == pytest.approx(other.against_worse)
        capital = {"against_equal": (), "against_worse": ()}
        assert replace(one, **capital) == replace(other, **capital)
    assert found.verdict is expected.verdict


@pytest.mark.parametrize("chosen", [None, "openai/other"])
async def test_where_another_model_was_chosen_meanwhile_no_trial_begins(
    flows: Flows, chosen: str | None
):
    await flows.trials.choose(flows.tenant, "example", "one", "openai/small")
    with pytest.raises(ConflictError):
        await flows.trials.start(flows.tenant, a_trial(), chosen)
    assert await flows.trials.all(flows.tenant) == []
    await flows.trials.start(flows.tenant, a_trial(), "openai/small")
