"""The scripts: what each takes is the signature of its function here (calls.py says how).

`texts`, `events` and replies are told in the scripts' first lines.
"""

from dataclasses import dataclass
from typing import Any

from core.adapters.upstash.calls import Events, Keys, Texts, script
from core.adapters.upstash.script_keys import (
    FeedbackKeys,
    FlowKeys,
    HeldKeys,
    Key,
    MoneyKeys,
    OutboxKeys,
    TrialKeys,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Which tenants of a partition may have what is due of them leased, and how much of it."""

    index: Key
    of_tenants: Keys
    tenants: list[str]
    limit: int
    per_tenant: int
    lease_ms: int


@script("flow")
def create(
    of: FlowKeys,
    flows: Key,
    definitions: Key,
    outbox: OutboxKeys,
    models: Key,
    *,
    digest: str,
    crew: str,
    tasks: list[tuple[str, bool]],
    definition_digest: str,
    created_ms: int,
    limit_ms: int | None,
    steps: int,
    webhooks: bool,
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow")
def announce_start(of: FlowKeys, *, events: Events) -> None: ...


@script("flow", "budgets", "money")
def claim(
    of: FlowKeys,
    money: MoneyKeys,
    *,
    step: str,
    epoch: int,
    owner: str,
    lease_ms: int,
    seen: int,
    more: bool,
    events: Events,
) -> None: ...


@script("flow")
def add_steps(of: FlowKeys, *, steps: list[dict[str, Any]], known: int) -> None: ...


@script("flow")
def reschedule(of: FlowKeys, *, delay_ms: int, seen: int | None) -> None: ...


@script("flow")
def emit(
    of: FlowKeys,
    *,
    step: str,
    epoch: int,
    seq: int,
    lease_ms: int,
    message: str | None,
    error: str | None,
    events: Events,
) -> None: ...


@script("flow", "budgets", "money")
def release(
    of: FlowKeys,
    money: MoneyKeys,
    *,
    step: str,
    epoch: int,
    seq: int,
    delay_ms: int,
    reason: str,
    events: Events,
) -> None: ...


@script("flow", "trials")
def commit(
    of: FlowKeys,
    of_trials: TrialKeys,
    *,
    step: str,
    epoch: int,
    seq: int,
    known: int,
    outcome: dict[str, Any] | None,
    texts: Texts,
    events: Events,
) -> None: ...


@script()
def keep_entries(flow_key: Key, journal: Key, *, step: str, epoch: int, texts: Texts) -> None: ...


@script("flow", "budgets", "money", "trials")
def transition(
    of: FlowKeys,
    journal: Key,
    money: MoneyKeys,
    budget_waits: Key,
    of_trials: TrialKeys,
    *,
    ttl_ms: int,
    to: str,
    epoch: int,
    transition_id: str,
    error: str | None,
    answer: str | None,
    output_ref: dict[str, Any] | None,
    text_is: str | None,
    until_ms: int | None,
    least_wait_ms: int,
    for_money: bool,
    outcomes: list[dict[str, Any]],
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow")
def delete(of: FlowKeys, flows: Key, outbox: OutboxKeys) -> None: ...


@script("flow")
def record_failure(of: FlowKeys, *, nonce: str) -> None: ...


@script("flow", "budgets", "accounts")
def reserve(
    of: FlowKeys,
    held: HeldKeys,
    alerts: OutboxKeys,
    budgets: Key,
    *,
    step: str,
    epoch: int,
    call_id: str,
    call: dict[str, Any],
    least: int,
    prices: int,
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


@script("flow", "budgets", "money")
def settle(
    of: FlowKeys,
    money: MoneyKeys,
    *,
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
    calls: list[dict[str, Any]],
) -> None: ...


@script()
def add_feedback(
    tasks: Key,
    listed: Key,
    learning: Key,
    learning_index: Key,
    of_logs: Keys,
    *,
    tenant: str,
    batch: list[dict[str, Any]],
    texts: Texts,
) -> None: ...


@script("feedback")
def trim_feedback(of: FeedbackKeys, *, through: int) -> None: ...


@script("feedback")
def forget_feedback(
    of: FeedbackKeys, of_ids: Keys, *, subject: str | None, at_once: int
) -> None: ...


@script("feedback")
def unlist_feedback(of: FeedbackKeys) -> None: ...


@script("feedback")
def feedback_forgotten(of: FeedbackKeys, *, subjects: list[tuple[str, int]]) -> None: ...


@script("feedback")
def release_feedback(of: FeedbackKeys, *, until_ms: int) -> None: ...


@script("due")
def lease_feedback(turn: Turn, *, delay_ms: int) -> None: ...


@script("due")
def lease(turn: Turn) -> None: ...


@script("due")
def outbox_lease(turn: Turn) -> None: ...


@script()
def outbox_save(
    of: OutboxKeys,
    flow_key: Key,
    *,
    tenant: str,
    flow: str,
    epoch: int,
    record: str | None = None,
    delay_ms: int = 0,
    leased: bool = False,
    seen: int | None = None,
    soon_ms: int = 0,
) -> None: ...
