"""Whatever a subject is called, its money is counted under its name alone. Over memory and over Redis."""

from dataclasses import replace

import pytest

from core.costs.budget import Budget, Scope
from core.costs.windows import Window
from tests.contract.test_call_ledger import USED as USED_BY_A_CREW
from tests.contract.test_call_ledger import begun, spent
from tests.contract.test_call_ledger import call as a_crews_call
from tests.contract.test_usage_book import NAMES, USED, call, counted
from tests.fixtures_ports import Flows
from tests.hostile_subjects import HOSTILE

SPENT = USED.cost_nanodollars


def named(subject: str, model: str = NAMES[4]) -> tuple[str, str, str, str, str]:
    return (*NAMES[:3], subject, model)


@pytest.mark.parametrize("hours", [False, True])
async def test_each_subject_has_a_sum_of_its_own_by_day_and_hour(flows: Flows, hours: bool):
    some = [replace(call(f"c{at}"), names=named(name)) for at, name in enumerate(HOSTILE)]
    for _ in range(2):
        await flows.usage.record(flows.tenant, some)
    found = {each.names: each.usage for each in await counted(flows, hours=hours)}
    assert found == {named(name): USED for name in HOSTILE}


async def test_a_subject_and_a_model_are_not_taken_for_another_pair(flows: Flows):
    pairs = [("x|m", "y"), ("x", "m|y"), ("x~7Cm", "y"), ("x|m|y", "y"), ("x", "m~7Cy")]
    some = [replace(call(f"c{at}"), names=named(*pair)) for at, pair in enumerate(pairs)]
    await flows.usage.record(flows.tenant, some)
    assert {each.names for each in await counted(flows)} == {named(*pair) for pair in pairs}


async def test_what_a_crew_spends_for_a_subject_is_counted_under_its_name(flows: Flows):
    claim = await begun(flows)
    for number, name in enumerate(HOSTILE, 1):
        made = replace(a_crews_call(claim, number), subject=name)
        await flows.calls.reserve(made)
        await flows.calls.settle(made, USED_BY_A_CREW, [])
    assert {each.names[3] for each in await spent(flows)} == set(HOSTILE)


@pytest.mark.parametrize("window", [Window.DAY, Window.MONTH])
async def test_each_subject_spends_its_own_budget(flows: Flows, window: Window):
    each = Budget("each", Scope.SUBJECT, window, 10**12)
    own = Budget("own", Scope.SUBJECT, window, 10**12, name="auth0|abc")
    for budget in (each, own):
        await flows.budgets.save(flows.tenant, budget)
    some = [replace(call(f"c{at}"), names=named(name)) for at, name in enumerate(HOSTILE)]
    await flows.usage.record(flows.tenant, some)
    states = (await flows.budgets.all(flows.tenant)).states
    found = {(state.budget, state.name): state.spent_nanodollars for state in states}
    assert found == {("own", "auth0|abc"): SPENT} | {("each", name): SPENT for name in HOSTILE}


async def test_an_alert_names_the_subject_whose_budget_is_spent(flows: Flows):
    hook = "https://hooks.example.com/x"
    each = Budget("each", Scope.SUBJECT, Window.DAY, SPENT, alerts=(100,), webhook=hook)
    await flows.budgets.save(flows.tenant, each)
    some = [replace(call(f"c{at}"), names=named(name)) for at, name in enumerate(HOSTILE)]
    told = (await flows.usage.record(flows.tenant, some)).alerts
    assert {(alert["budget"], alert["name"]) for alert in told} == {("each", n) for n in HOSTILE}
