"""What every budget keeps to: nothing is spent that it has no room for. Over memory and over Redis."""

import asyncio
from dataclasses import replace

import pytest

from core.costs.budget import Refusal, Scope, Verdict
from core.costs.rollup import DAY_MS, HOUR_MS
from core.costs.usage import Usage
from core.costs.windows import UTC_ZONE, Window, Zone
from core.crews.ledger import Claim, FencedError, StepWrite
from core.flows import Status
from core.time_of_day import now_ms
from tests.contract.budget_parts import (
    COST,
    REAL,
    a_budget,
    alert_values,
    alerts,
    limited,
    says,
    shortest,
    state,
)
from tests.contract.test_call_ledger import BOUND, begun, begun_again, call, held
from tests.fixtures_ports import Flows, a_launch


async def test_what_is_held_is_spent_at_its_price_and_the_rest_given_back(flows: Flows):
    claim = await limited(flows, a_budget(2.5))
    assert await says(flows, call(claim)) is None
    assert await state(flows) == (0, COST)
    await flows.calls.settle(call(claim), REAL, [])
    assert await state(flows) == (COST // 10, 0)


async def test_both_sent_again_hold_and_spend_once(flows: Flows):
    claim = await limited(flows, a_budget(2.5))
    for _ in range(3):
        assert await says(flows, call(claim)) is None
    assert await state(flows) == (0, COST)
    for _ in range(3):
        await flows.calls.settle(call(claim), REAL, [])
    assert await state(flows) == (COST // 10, 0)


async def test_what_others_hold_is_not_given_away_twice(flows: Flows):
    claim = await limited(flows, a_budget(2.5))
    assert [await says(flows, call(claim, n)) for n in (1, 2, 3)] == [None, None, Verdict.HELD]
    assert await state(flows) == (0, 2 * COST)
    await flows.calls.settle(call(claim, 1), REAL, [])
    assert await says(flows, call(claim, 3)) is None
    assert await state(flows) == (COST // 10, 2 * COST)


async def test_a_call_that_waits_for_money_holds_and_spends_nothing(flows: Flows):
    claim = await limited(flows, a_budget(1))
    assert await says(flows, call(claim, 1)) is None
    for _ in range(5):
        assert await says(flows, call(claim, 2)) is Verdict.HELD
    assert await state(flows) == (0, COST)
    await flows.calls.settle(call(claim, 1), Usage(), [])
    assert await says(flows, call(claim, 2)) is None


async def test_what_does_not_fit_by_itself_is_told_what_would(flows: Flows):
    claim = await limited(flows, a_budget(1.5), a_budget(9, id="wide"))
    await flows.calls.reserve(call(claim, 1))
    await flows.calls.settle(call(claim, 1), BOUND, [])
    refusal = await flows.calls.reserve(shortest(call(claim, 2), COST // 4))
    assert refusal is not None
    assert (refusal.verdict, refusal.budget) == (Verdict.SHORT, "b")
    assert refusal.headroom_nanodollars == COST // 2
    lower = replace(BOUND, cost_nanodollars=refusal.headroom_nanodollars)
    assert await says(flows, call(claim, 2, bound=lower)) is None
    assert await state(flows) == (COST, COST // 2)
    assert await says(flows, shortest(call(claim, 3), COST // 4)) is Verdict.HELD
    await flows.calls.settle(call(claim, 2, bound=lower), lower, [])
    assert await says(flows, shortest(call(claim, 3), COST // 4)) is Verdict.EXHAUSTED


async def test_one_call_that_costs_ten_budgets_is_never_made(flows: Flows):
    claim = await limited(flows, a_budget(0.1))
    refusal = await flows.calls.reserve(call(claim))
    assert refusal is not None
    assert (refusal.verdict, refusal.headroom_nanodollars) == (Verdict.EXHAUSTED, COST // 10)
    assert refusal.until_ms == UTC_ZONE.end_ms(Window.DAY, now_ms())
    assert await state(flows) == (0, 0)


async def test_a_day_whose_midnight_the_clocks_leap_over_ends_then(flows: Flows):
    midnight = (now_ms() // DAY_MS + 1) * DAY_MS
    await flows.budgets.save_zone(flows.tenant, Zone("Leaping", ((0, 0), (midnight, HOUR_MS))))
    refusal = await flows.calls.reserve(call(await limited(flows, a_budget(0.1))))
    assert refusal is not None
    assert refusal.until_ms == midnight


@pytest.mark.parametrize("narrow", ["first", "second", "third"])
async def test_of_several_budgets_all_have_room_or_none_holds_anything(flows: Flows, narrow: str):
    given = {"first": Scope.TENANT, "second": Scope.CREW, "third": Scope.MODEL}
    claim = await limited(
        flows,
        *(a_budget(1 if name == narrow else 5, id=name, scope=of) for name, of in given.items()),
    )
    assert await says(flows, call(claim, 1)) is None
    assert [await state(flows, name) for name in given] == [(0, COST)] * 3
    refusal = await flows.calls.reserve(call(claim, 2))
    assert isinstance(refusal, Refusal)
    assert refusal.budget == narrow
    assert [await state(flows, name) for name in given] == [(0, COST)] * 3
    await flows.calls.settle(call(claim, 1), REAL, [])
    assert [await state(flows, name) for name in given] == [(COST // 10, 0)] * 3


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("crew", "example"),
        ("agent", "writer"),
        ("model", "a/b|c"),
        ("subject", "ann"),
        ("flow", "f1"),
    ],
)
async def test_a_budget_counts_what_it_is_for_and_nothing_else(flows: Flows, scope: str, name: str):
    others = a_budget(0, id="others", scope=Scope(scope), name="somebody-else")
    claim = await limited(flows, a_budget(1, scope=Scope(scope), name=name), others)
    assert await says(flows, call(claim, 1)) is None
    assert await says(flows, call(claim, 2)) is Verdict.HELD
    (found,) = (await flows.budgets.all(flows.tenant)).states
    assert (found.budget, found.name, found.held_nanodollars) == ("b", name, COST)


async def test_a_budget_for_each_counts_each_by_itself(flows: Flows):
    claim = await limited(flows, a_budget(1, scope=Scope.MODEL))
    assert await says(flows, call(claim, 1, model="one")) is None
    assert await says(flows, call(claim, 2, model="two")) is None
    assert await says(flows, call(claim, 3, model="one")) is Verdict.HELD


@pytest.mark.parametrize("scope", [Scope.AGENT, Scope.MODEL])
async def test_a_budget_for_each_counts_each_by_itself_within_a_flow_too(
    flows: Flows, scope: Scope
):
    claim = await limited(flows, a_budget(1, scope=scope, window=Window.FLOW))
    made = [replace(call(claim, n), agent=name, model=name) for n, name in enumerate("aab", 1)]
    assert await says(flows, made[0]) is None
    assert await says(flows, made[1]) is Verdict.HELD
    assert await says(flows, made[2]) is None
    await flows.calls.settle(made[2], replace(BOUND, cost_nanodollars=COST // 2), [])
    told = [(each["window"], each["name"], each["percent"]) for each in await alert_values(flows)]
    assert told == [("flow", "b", 50)]


async def test_the_window_of_a_flow_is_the_flow(flows: Flows):
    claim = await limited(flows, a_budget(1, window=Window.FLOW))
    assert await says(flows, call(claim, 1)) is None
    assert await says(flows, call(claim, 2)) is Verdict.HELD
    await flows.calls.settle(call(claim, 1), BOUND, [])
    refusal = await flows.calls.reserve(call(claim, 2))
    assert refusal is not None
    assert (refusal.verdict, refusal.until_ms) == (Verdict.EXHAUSTED, None)
    await flows.ledger.create(flows.tenant, a_launch("f2"))
    step = (await flows.ledger.state(flows.tenant, "f2")).steps[0]
    other = await flows.ledger.claim(
        flows.tenant, "f2", step, owner="x", lease_ms=30_000, events=[]
    )
    assert isinstance(other, Claim)
    assert await says(flows, call(other)) is None


async def test_a_soft_budget_tells_and_refuses_nothing(flows: Flows):
    claim = await limited(flows, a_budget(1, hard=False))
    for number in (1, 2, 3):
        assert await says(flows, call(claim, number)) is None
        await flows.calls.settle(call(claim, number), BOUND, [])
    assert await state(flows) == (3 * COST, 0)
    assert await alerts(flows) == [("b", 50), ("b", 80), ("b", 100)]


async def test_each_alert_is_told_once_in_a_window(flows: Flows):
    claim = await limited(flows, a_budget(2), a_budget(4, id="wide", alerts=(50,)))
    for number in (1, 2):
        await flows.calls.reserve(call(claim, number))
    await flows.calls.settle(call(claim, 1), BOUND, [])
    assert await alerts(flows) == [("b", 50)]
    await flows.calls.settle(call(claim, 2), replace(BOUND, cost_nanodollars=COST - 1), [])
    assert await alerts(flows) == [("b", 50), ("b", 80)]


async def test_a_model_that_nobody_knows_the_price_of_is_refused(flows: Flows):
    claim = await limited(flows, a_budget(5, hard=False, id="soft"))
    unpriced = Usage(1, 10, 10, unpriced_calls=1)
    assert await says(flows, call(claim, 1, bound=unpriced)) is None
    await flows.budgets.save(flows.tenant, a_budget(5))
    assert await says(flows, call(claim, 2, bound=unpriced)) is Verdict.UNPRICED


async def test_a_lost_call_is_spent_at_its_bound_until_its_answer_comes(flows: Flows):
    await flows.budgets.save(flows.tenant, a_budget(2.5))
    claim = await begun(flows, lease_ms=1)
    await flows.calls.reserve(call(claim))
    await begun_again(flows)
    assert await state(flows) == (COST, 0)
    for _ in range(2):
        with pytest.raises(FencedError):
            await flows.calls.settle(call(claim), REAL, [])
    assert await state(flows) == (COST // 10, 0)


async def test_so_is_that_of_a_flow_that_ends_and_of_a_step_that_is_given_back(flows: Flows):
    claim = await limited(flows, a_budget(9), a_budget(9, id="flow", window=Window.FLOW))
    other = await held(flows, 1)
    await flows.calls.reserve(call(claim))
    await flows.calls.reserve(call(other))
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    assert await state(flows) == (COST, COST)
    await flows.ledger.transition(flows.tenant, "f1", Status.CANCELLED, status_epoch=0, events=[])
    assert await state(flows) == (2 * COST, 0)
    with pytest.raises(FencedError):
        await flows.calls.settle(call(other), REAL, [])
    assert await state(flows) == (COST + COST // 10, 0)


async def test_many_at_once_get_what_there_is_and_no_more(flows: Flows):
    claim = await limited(flows, a_budget(10), a_budget(10, id="crew", scope=Scope.CREW))
    said = await asyncio.gather(*(says(flows, call(claim, n)) for n in range(1, 51)))
    assert said.count(None) == 10
    assert said.count(Verdict.HELD) == 40
    assert await state(flows) == await state(flows, "crew") == (0, 10 * COST)
