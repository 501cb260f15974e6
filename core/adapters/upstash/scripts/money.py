"""Scripts of the money of calls, and what limits or prices it."""

from typing import Any

from core.adapters.upstash.calls import Events, script
from core.adapters.upstash.script_keys import FlowKeys, HeldKeys, Key, MoneyKeys, OutboxKeys


@script("flow", "budgets", "accounts")
def reserve(
    of: FlowKeys,
    held: HeldKeys,
    outbox: OutboxKeys,
    budgets: Key,
    *,
    step: str,
    epoch: int,
    call_id: str,
    call: dict[str, Any],
    least: int,
    prices: int,
) -> None: ...


@script("flow", "budgets", "money", "waits")
def settle(
    of: FlowKeys,
    money: MoneyKeys,
    budget_waits: Key,
    *,
    most_woken: int,
    step: str,
    epoch: int,
    call_id: str,
    number: int,
    used: dict[str, int],
    facts: dict[str, int],
    events: Events,
) -> None: ...


@script("budgets", "accounts", "money")
def record_usage(
    money: MoneyKeys,
    budgets: Key,
    last_ids: Key,
    these_ids: Key,
    *,
    tenant: str,
    batch: str,
    both: bool,
    calls: list[dict[str, Any]],
) -> None: ...


@script("waits")
def save_budget(
    budgets: Key,
    budget_waits: Key,
    due: Key,
    index: Key,
    *,
    tenant: str,
    name: str,
    definition: str | None,
    most: int,
    most_woken: int,
) -> None: ...


@script("waits")
def save_price(
    prices: Key,
    budgets: Key,
    budget_waits: Key,
    due: Key,
    index: Key,
    *,
    tenant: str,
    model: str,
    since: str | None,
    entry: str | None,
    most: int,
    most_woken: int,
) -> None: ...
