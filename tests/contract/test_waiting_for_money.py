"""When a flow that waits for money is looked at: whenever there may be some. Over memory and over Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from core.costs.tenant_prices import ALWAYS, Price
from core.costs.windows import zone
from core.crews.ledger import FencedError
from core.flows import Status
from core.time_of_day import now_ms
from tests.contract.budget_parts import COST, REAL, a_budget, limited
from tests.contract.test_call_ledger import BOUND, begun_again, call, held
from tests.fixtures_ports import Flows, due

CHANGES: dict[str, Callable[[Flows], Awaitable[list[str]]]] = {
    "raised": lambda flows: flows.budgets.save(flows.tenant, a_budget(2)),
    "removed": lambda flows: flows.budgets.delete(flows.tenant, "b"),
    "moved": lambda flows: flows.budgets.save_zone(flows.tenant, zone("Asia/Tokyo", now_ms())),
    "priced": lambda flows: flows.prices.save(flows.tenant, Price("m", ALWAYS, {"input": 1})),
}


async def waits(flows: Flows, budgets_version: str | None = None, epoch: int = 0) -> None:
    waiting = {"reason": "budget", "budget": "b", "until_ms": now_ms() + 600_000}
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=epoch, events=[], waiting=waiting,
        budgets_version=budgets_version,
    )  # fmt: skip


@pytest.mark.parametrize("change", [*CHANGES, None])
async def test_what_changes_between_a_refusal_and_the_wait_is_not_missed(
    flows: Flows, change: str | None
):
    claim = await limited(flows, a_budget(0.5))
    refusal = await flows.calls.reserve(call(claim))
    assert refusal is not None
    if change is not None:
        await CHANGES[change](flows)
    await waits(flows, refusal.budgets_version)
    assert await due(flows) == ([] if change is None else ["f1"])


async def test_a_step_whose_worker_is_gone_while_its_call_holds_money_is_looked_at(flows: Flows):
    claim = await limited(flows, a_budget(9))
    short = await held(flows, 1, lease_ms=300)
    await flows.calls.reserve(call(claim))
    await flows.calls.reserve(call(short))
    await waits(flows)
    assert await due(flows) == []
    await asyncio.sleep(0.35)
    assert await due(flows) == ["f1"]


async def test_a_step_that_holds_no_money_is_not(flows: Flows):
    await limited(flows, a_budget(9))
    short = await held(flows, 1, lease_ms=300)
    await flows.calls.reserve(call(short))
    await flows.calls.settle(call(short), REAL, [])
    await waits(flows)
    await asyncio.sleep(0.35)
    assert await due(flows) == []


async def test_nor_is_any_of_a_flow_that_waits_for_a_person(flows: Flows):
    await limited(flows, a_budget(9))
    short = await held(flows, 1, lease_ms=300)
    await flows.calls.reserve(call(short))
    waiting = {"reason": "person", "review": "r"}
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    await asyncio.sleep(0.35)
    assert await due(flows) == []


@pytest.mark.parametrize(("cost", "woken"), [(COST // 10, ["f1"]), (COST, [])])
async def test_a_late_answer_that_gives_money_back_wakes_what_waits(
    flows: Flows, cost: int, woken: list[str]
):
    claim = await limited(flows, a_budget(9), lease_ms=1)
    await flows.calls.reserve(call(claim))
    await begun_again(flows)
    await waits(flows)
    assert await due(flows) == []
    with pytest.raises(FencedError):
        await flows.calls.settle(call(claim), replace(BOUND, cost_nanodollars=cost), [])
    assert await due(flows) == woken
