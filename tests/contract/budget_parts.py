"""Calls of a flow whose budgets are few, and what the budgets say."""

import json
from dataclasses import replace
from typing import Any

from core.costs.budget import Budget, Scope, Verdict
from core.costs.usage import Usage
from core.costs.windows import Window
from core.crews.call_ledger import Call
from core.crews.ledger import Claim
from tests.contract.test_call_ledger import BOUND, LEASE_MS, begun
from tests.fixtures_ports import Flows

COST = BOUND.cost_nanodollars


REAL = Usage(1, 900, 20, COST // 10)


def a_budget(calls: float, **given: Any) -> Budget:
    """A budget for so many calls at their bound."""
    made = {"id": "b", "scope": Scope.TENANT, "window": Window.DAY}
    return Budget(**{**made, "limit_nanodollars": round(calls * COST), **given})


async def limited(flows: Flows, *budgets: Budget, lease_ms: int = LEASE_MS, **launch: Any) -> Claim:
    for budget in budgets:
        await flows.budgets.save(flows.tenant, budget)
    return await begun(flows, lease_ms, limit_ms=3_600_000, **launch)


def shortest(made: Call, cost: int) -> Call:
    """A call that is of use at this cost already."""
    return replace(made, least_nanodollars=cost)


async def says(flows: Flows, made: Call) -> Verdict | None:
    refusal = await flows.calls.reserve(made)
    return None if refusal is None else refusal.verdict


async def state(flows: Flows, budget: str = "b") -> tuple[int, int]:
    """What a budget has spent and holds, under whatever names."""
    states = (await flows.budgets.all(flows.tenant)).states
    of = [each for each in states if each.budget == budget]
    spent = sum(each.spent_nanodollars for each in of)
    return spent, sum(each.held_nanodollars for each in of)


async def alert_values(flows: Flows) -> list[dict[str, Any]]:
    """What the log of the flow was told of budgets."""
    entries = await flows.log.entries(flows.tenant, "f1", 0, 1000)
    told = [json.loads(entry.json) for entry in entries]
    return [event["value"] for event in told if event.get("name") == "budget_alert"]


async def alerts(flows: Flows) -> list[tuple[str, int]]:
    return [(value["budget"], value["percent"]) for value in await alert_values(flows)]
