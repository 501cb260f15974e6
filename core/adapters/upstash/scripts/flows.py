"""Scripts of what flows and their steps go through."""

from typing import Any

from core.adapters.upstash.calls import Events, Texts, script
from core.adapters.upstash.script_keys import FlowKeys, Key, MoneyKeys, OutboxKeys, TrialKeys, Turn


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
    journal_key: Key,
    of_trials: TrialKeys,
    *,
    step: str,
    epoch: int,
    seq: int,
    known: int,
    journal: list[str],
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
    budgets: Key,
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
    budgets_version: str | None,
    outcomes: list[dict[str, Any]],
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow")
def delete(of: FlowKeys, flows: Key, outbox: OutboxKeys) -> None: ...


@script("flow")
def record_failure(of: FlowKeys, *, nonce: str) -> None: ...


@script("due")
def lease(turn: Turn) -> None: ...
