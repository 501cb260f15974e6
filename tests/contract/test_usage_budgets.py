"""What calls made elsewhere spend of budgets: they are never refused. Over memory and over Redis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.costs.budget import ALERTS, MOST_BUDGETS, MOST_STATES, Budget, BudgetState, Scope, Verdict
from core.costs.rollup import DAY_MS, day_of
from core.costs.windows import Window, zone
from core.time_of_day import now_ms
from tests.cells import cells_of
from tests.contract.budget_parts import COST, a_budget, limited, says
from tests.contract.test_call_ledger import call as a_crews_call
from tests.contract.test_usage_book import NAMES, NOW_MS, USED, call
from tests.fixtures_ports import Flows

SPENT = USED.cost_nanodollars


async def states(flows: Flows) -> list[BudgetState]:
    return list((await flows.budgets.all(flows.tenant)).states)


@pytest.mark.parametrize("hard", [True, False])
async def test_they_spend_every_budget_that_they_count_in_and_no_other(flows: Flows, hard: bool):
    crew, _, agent, subject, model = NAMES
    names = {"tenant": "", "crew": crew, "agent": agent, "model": model, "subject": subject}
    for scope, name in names.items():
        budget = Budget(scope, Scope(scope), Window.MONTH, SPENT, name or "*", hard=hard)
        await flows.budgets.save(flows.tenant, budget)
    other = Budget("other", Scope.CREW, Window.DAY, SPENT, "somebody-elses")
    each_flow = Budget("flows", Scope.TENANT, Window.FLOW, SPENT)
    for budget in (other, each_flow, Budget("each", Scope.CREW, Window.DAY, SPENT)):
        await flows.budgets.save(flows.tenant, budget)
    await flows.usage.record(flows.tenant, [call(f"c{n}") for n in range(3)])
    found = {each.budget: (each.name, each.spent_nanodollars) for each in await states(flows)}
    spent = {scope: (name, 3 * SPENT) for scope, name in names.items()}
    assert found == spent | {"each": (crew, 3 * SPENT)}
    assert all(each.held_nanodollars == 0 for each in await states(flows))


async def test_they_leave_that_much_less_for_crews(flows: Flows):
    claim = await limited(flows, a_budget(2))
    assert await says(flows, a_crews_call(claim, 1)) is None
    dear = replace(call(), usage=replace(USED, cost_nanodollars=COST))
    await flows.usage.record(flows.tenant, [dear])
    assert await says(flows, a_crews_call(claim, 2)) is Verdict.HELD
    await flows.usage.record(flows.tenant, [replace(dear, id="c2")])
    (state,) = await states(flows)
    assert (state.spent_nanodollars, state.held_nanodollars) == (2 * COST, COST)  # over its limit
    assert await says(flows, a_crews_call(claim, 3)) is Verdict.EXHAUSTED


async def test_a_call_sent_again_spends_once(flows: Flows):
    await flows.budgets.save(flows.tenant, a_budget(1))
    for _ in range(3):
        await flows.usage.record(flows.tenant, [call("c1"), call("c2")])
    await flows.usage.record(flows.tenant, [call("c2"), call("c1", digest="other")])
    (state,) = await states(flows)
    assert state.spent_nanodollars == 2 * SPENT


async def test_of_many_names_under_many_budgets_each_call_counts_once(flows: Flows):
    """More states than a command takes: a budget for each customer, as many as a tenant may have."""
    for number in range(MOST_BUDGETS):
        await flows.budgets.save(flows.tenant, Budget(f"b{number}", Scope.SUBJECT, Window.DAY, 9))
    crew, task, agent, _, model = NAMES
    batch = [replace(call(f"c{n}"), names=(crew, task, agent, f"s{n}", model)) for n in range(100)]
    told = [await flows.usage.record(flows.tenant, batch) for _ in range(2)]
    assert [each.not_new for each in told] == [{}, {}]
    assert len(told[0].alerts) == len(batch) * MOST_BUDGETS * len(ALERTS)
    cells = await cells_of(flows.spending, flows.tenant, [day_of(NOW_MS)])
    assert sum(cell.usage.calls for cell in cells) == len(batch)
    spent = await flows.budgets.all(flows.tenant, "b7", "s99")
    assert [each.spent_nanodollars for each in spent.states] == [SPENT]


async def test_alerts_are_told_once_to_whoever_counts_the_calls(flows: Flows):
    await flows.budgets.save(flows.tenant, Budget("b", Scope.TENANT, Window.MONTH, 4 * SPENT))
    batches = [[call("c1")], [call("c2")], [call("c3"), call("c4")], [call("c5")]]
    told = [await flows.usage.record(flows.tenant, batch) for batch in batches]
    percents = [[alert["percent"] for alert in each.alerts] for each in told]
    assert percents == [[], [50], [80, 100], []]
    (alert,) = told[1].alerts
    assert alert == {
        "budget": "b",
        "window": day_of(NOW_MS)[:7],
        "name": "",
        "percent": 50,
        "spent_nanodollars": 2 * SPENT,
        "limit_nanodollars": 4 * SPENT,
    }
    (state,) = await states(flows)
    assert state.alerted_percent == 100


async def test_a_call_spends_the_window_in_which_it_was_made(flows: Flows):
    for window in (Window.DAY, Window.MONTH):
        await flows.budgets.save(flows.tenant, Budget(window, Scope.TENANT, window, 10**12))
    before, today = day_of(NOW_MS - 2 * DAY_MS), day_of(NOW_MS)
    await flows.usage.record(flows.tenant, [call("c1", NOW_MS - 2 * DAY_MS), call("c2")])
    spent = {state.window: state.spent_nanodollars for state in await states(flows)}
    of_month = 2 * SPENT if before[:7] == today[:7] else SPENT
    assert spent == {today: SPENT, today[:7]: of_month}


@pytest.mark.parametrize("name", ["Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns"])
async def test_days_are_the_tenants_to_the_quarter_of_an_hour(flows: Flows, name: str):
    there = zone(name, now_ms())
    await flows.budgets.save_zone(flows.tenant, there)
    await flows.budgets.save(flows.tenant, Budget("b", Scope.TENANT, Window.DAY, 10**12))
    offset = timedelta(milliseconds=there.offset_ms(NOW_MS))
    local = datetime.fromtimestamp(NOW_MS / 1000, UTC) + offset
    since_midnight = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second + 1)
    midnight = NOW_MS - round(since_midnight.total_seconds() * 1000)
    await flows.usage.record(
        flows.tenant, [call("before", midnight - 2_000), call("after", midnight + 2_000)]
    )
    (state,) = await states(flows)
    assert (state.window, state.spent_nanodollars) == (local.date().isoformat(), SPENT)


async def test_of_many_names_the_dearest_are_told_and_any_of_them_by_its_name(flows: Flows):
    users = Budget("u", Scope.SUBJECT, Window.DAY, 10**15)
    ann = Budget("ann", Scope.SUBJECT, Window.DAY, 9, name="ann")
    for budget in (users, replace(users, id="v", window=Window.MONTH), ann, a_budget(1)):
        await flows.budgets.save(flows.tenant, budget)
    count = MOST_STATES + 7
    for number in range(1, count + 1):
        names = (*NAMES[:3], f"s{number}", NAMES[4])
        made = replace(call(f"c{number}"), names=names)
        dear = replace(made, usage=replace(USED, cost_nanodollars=number))
        await flows.usage.record(
            flows.tenant, [dear, replace(dear, id=f"b{number}", at_ms=NOW_MS - DAY_MS)]
        )
    told = await flows.budgets.all(flows.tenant, "u")
    assert [state.name for state in told.states] == [f"s{n}" for n in range(count, 7, -1)]
    assert (told.budgets, told.cut) == ((users,), {"u"})
    found = await flows.budgets.all(flows.tenant)
    assert (len(found.states), found.cut) == (2 * MOST_STATES + 1, {"u", "v"})
    one = await flows.budgets.all(flows.tenant, "u", "s3")
    assert [(state.name, state.spent_nanodollars) for state in one.states] == [("s3", 3)]
    assert (await flows.budgets.all(flows.tenant, "ann", "s3")).states == ()
