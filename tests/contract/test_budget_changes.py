"""What every store does when budgets are set and change, and when who waits for money hears of it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.costs.budget import MOST_BUDGETS, Budget, Scope, Verdict
from core.costs.windows import UTC_ZONE, Window, zone
from core.errors import ConflictError, NotFoundError
from core.flows import Status
from core.time_of_day import now_ms
from tests.contract.budget_parts import COST, REAL, a_budget, limited, says
from tests.contract.test_call_ledger import BOUND, call
from tests.fixtures_ports import Flows, due


async def test_budgets_are_kept_as_they_were_given(flows: Flows):
    one = Budget("one", Scope.CREW, Window.MONTH, 2**53, name="example", hard=False, alerts=(10,))
    two = Budget("two", Scope.MODEL, Window.FLOW, 7)
    assert (await flows.budgets.all(flows.tenant)).zone == UTC_ZONE
    for budget in (two, one, replace(one, limit_nanodollars=1), one):
        await flows.budgets.save(flows.tenant, budget)
    berlin = zone("Europe/Berlin", now_ms())
    await flows.budgets.save_zone(flows.tenant, berlin)
    found = await flows.budgets.all(flows.tenant)
    assert (found.zone, found.budgets, found.states) == (berlin, (one, two), ())
    await flows.budgets.delete(flows.tenant, "one")
    assert (await flows.budgets.all(flows.tenant)).budgets == (two,)
    with pytest.raises(NotFoundError):
        await flows.budgets.delete(flows.tenant, "one")
    assert (await flows.budgets.all("somebody-else")).budgets == ()


async def test_a_tenant_has_a_bounded_number_of_budgets(flows: Flows):
    await flows.budgets.save_zone(flows.tenant, zone("Asia/Tokyo", now_ms()))
    for number in range(MOST_BUDGETS):
        await flows.budgets.save(flows.tenant, a_budget(1, id=f"b{number}"))
    with pytest.raises(ConflictError):
        await flows.budgets.save(flows.tenant, a_budget(1))
    await flows.budgets.save(flows.tenant, a_budget(2, id="b0"))


async def test_who_waits_hears_of_a_call_that_gives_money_back(flows: Flows):
    claim = await limited(flows, a_budget(1))
    await flows.calls.reserve(call(claim, 1))
    async with flows.calls.settles(flows.tenant) as settles, asyncio.timeout(5):
        assert await says(flows, call(claim, 2)) is Verdict.HELD
        await flows.calls.settle(call(claim, 1), REAL, [])
        await anext(settles)
    assert await says(flows, call(claim, 2, bound=REAL)) is None


async def test_what_is_spent_stays_when_a_budget_is_changed(flows: Flows):
    claim = await limited(flows, a_budget(1))
    await flows.calls.reserve(call(claim, 1))
    await flows.calls.settle(call(claim, 1), BOUND, [])
    assert await says(flows, call(claim, 2)) is Verdict.EXHAUSTED
    await flows.budgets.save(flows.tenant, a_budget(2))
    assert await says(flows, call(claim, 2)) is None
    await flows.budgets.delete(flows.tenant, "b")
    assert await says(flows, call(claim, 3)) is None
    await flows.calls.settle(call(claim, 2), BOUND, [])


async def test_a_budget_keeps_its_scope(flows: Flows):
    """What it has spent under a crew's name is not what an agent of that name has spent."""
    await flows.budgets.save(flows.tenant, a_budget(1, scope=Scope.CREW))
    with pytest.raises(ConflictError, match="keeps its scope"):
        await flows.budgets.save(flows.tenant, a_budget(1, scope=Scope.AGENT))
    (kept,) = (await flows.budgets.all(flows.tenant)).budgets
    assert kept.scope is Scope.CREW


@pytest.mark.parametrize("change", ["raise", "delete"])
async def test_a_flow_that_waits_for_money_is_due_when_a_budget_changes(flows: Flows, change: str):
    await limited(flows, a_budget(1))
    waiting = {"reason": "budget", "budget": "b", "until_ms": now_ms() + 600_000}
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    assert await due(flows) == []
    if change == "raise":
        woken = await flows.budgets.save(flows.tenant, a_budget(2))
    else:
        woken = await flows.budgets.delete(flows.tenant, "b")
    assert await due(flows) == woken == ["f1"]


@pytest.mark.parametrize(
    "other", [{}, {"limit_nanodollars": COST // 2}, {"alerts": (7,)}, {"id": "new", "hard": True}]
)
async def test_a_change_that_gives_no_money_wakes_nobody(flows: Flows, other: dict[str, Any]):
    """Each look at a flow that waits has three versions of its state, so nobody looks for nothing."""
    await limited(flows, a_budget(1))
    waiting = {"reason": "budget", "budget": "b", "until_ms": now_ms() + 600_000}
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    assert await flows.budgets.save(flows.tenant, replace(a_budget(1), **other)) == []
    assert await due(flows) == []
    assert await flows.budgets.save(flows.tenant, a_budget(1, hard=False)) == ["f1"]


async def test_and_when_its_window_turns(flows: Flows):
    await limited(flows, a_budget(1))
    waiting = {"reason": "budget", "budget": "b", "until_ms": now_ms() + 300}  # but two seconds
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    assert await due(flows) == []
    await asyncio.sleep(0.31)
    assert await due(flows) == []  # it might be the same again, and again
    await asyncio.sleep(1.8)
    assert await due(flows) == ["f1"]
