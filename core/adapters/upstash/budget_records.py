"""Between what is stored of budgets and prices and what they stand for."""

import json
from typing import Any

from core.costs.budget import Budget, BudgetState, Refusal, Scope, Verdict
from core.costs.tenant_prices import Price, TenantPrices
from core.costs.windows import Window, Zone
from core.json_text import compact

ZONE = "~zone"  # the field of a tenant's time zone among its budgets
PRICES = "~prices"  # and of the version of its prices
VERSION = "~version"  # the field of that version among its prices


def refusal(
    verdict: str, budget: str, headroom: str, until_ms: str, version: str, *, needed: int
) -> Refusal:
    """Return why a call may not be made."""
    until = int(until_ms) if until_ms else None
    return Refusal(Verdict(verdict), budget, int(headroom), until, needed, version)


def definition(budget: Budget) -> str:
    """Return what is stored of a budget; `save_budget.lua` and `reserve.lua` read it."""
    stored: dict[str, Any] = {
        "scope": budget.scope,
        "name": budget.name,
        "window": budget.window,
        "limit": budget.limit_nanodollars,
        "hard": budget.hard,
        "alerts": sorted(budget.alerts),
    }
    if budget.webhook is not None:
        stored["webhook"] = budget.webhook
    return compact(stored)


def budget(name: str, stored: str) -> Budget:
    """Return a budget."""
    found: dict[str, Any] = json.loads(stored)
    return Budget(
        name,
        Scope(found["scope"]),
        Window(found["window"]),
        found["limit"],
        found["name"],
        found["hard"],
        tuple(found["alerts"]),
        found.get("webhook"),
    )


def zone_text(zone: Zone) -> str:
    """Return what is stored of a time zone."""
    return compact({"name": zone.name, "offsets": zone.offsets})


def zone(stored: str) -> Zone:
    """Return a time zone."""
    found: dict[str, Any] = json.loads(stored)
    return Zone(found["name"], tuple((since, offset) for since, offset in found["offsets"]))


def prices(stored: dict[str, str]) -> TenantPrices:
    """Return a tenant's prices."""
    version = int(stored.get(VERSION, 0))
    found = ((*field.partition("|"), text) for field, text in stored.items() if field != VERSION)
    agreed = [Price(model, since, json.loads(text)) for since, _, model, text in found]
    return TenantPrices(version, tuple(sorted(agreed, key=lambda each: (each.model, each.since))))


def state(field: str, stored: str) -> BudgetState:
    """Return what a budget has spent and holds in a window, under a name."""
    name, window, of = field.split("|", 2)
    found: dict[str, Any] = json.loads(stored)
    sums = found["spent"], found["held"], found["told"]
    return BudgetState(name, window, of, *sums, found.get("limit"))
