"""The scripts: what each takes is the signature of its function here (calls.py says how).

`texts`, `events` and replies are told in the scripts' first lines.
"""

from typing import Any

from core.adapters.upstash.calls import (
    FOLDER,
    MAX_REQUEST_BYTES,
    SCRIPTS,
    Events,
    Key,
    Keys,
    ScriptRunner,
    Texts,
    encoded,
    script,
    text,
)

__all__ = ["FOLDER", "MAX_REQUEST_BYTES", "SCRIPTS", "ScriptRunner", "encoded", "text"]


@script("flow")
def create(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    flows: Key,
    definitions: Key,
    outbox: Key,
    outbox_index: Key,
    *,
    tenant: str,
    flow: str,
    digest: str,
    definition_digest: str,
    created_ms: int,
    limit_ms: int | None,
    steps: int,
    webhooks: bool,
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow", "money")
def claim(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    yesterday: Key,
    today: Key,
    tomorrow: Key,
    *,
    channel: str,
    tenant: str,
    flow: str,
    step: str,
    epoch: int,
    owner: str,
    lease_ms: int,
    seen: int,
    more: bool,
    day: int,
    events: Events,
) -> None: ...


@script("flow")
def add_steps(
    flow_key: Key, log: Key, *, channel: str, steps: list[dict[str, Any]], known: int
) -> None: ...


@script("flow")
def reschedule(
    flow_key: Key,
    due: Key,
    index: Key,
    *,
    tenant: str,
    flow: str,
    delay_ms: int,
    seen: int | None,
) -> None: ...


@script("flow")
def emit(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    *,
    channel: str,
    tenant: str,
    flow: str,
    step: str,
    epoch: int,
    seq: int,
    lease_ms: int,
    message: str | None,
    error: str | None,
    events: Events,
) -> None: ...


@script("flow", "money")
def release(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    yesterday: Key,
    today: Key,
    tomorrow: Key,
    *,
    channel: str,
    tenant: str,
    flow: str,
    step: str,
    epoch: int,
    seq: int,
    delay_ms: int,
    reason: str,
    day: int,
    events: Events,
) -> None: ...


@script("flow")
def commit(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    *,
    channel: str,
    tenant: str,
    flow: str,
    step: str,
    epoch: int,
    seq: int,
    known: int,
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow", "money")
def transition(
    flow_key: Key,
    log: Key,
    due: Key,
    index: Key,
    yesterday: Key,
    today: Key,
    tomorrow: Key,
    outbox: Key,
    outbox_index: Key,
    *,
    channel: str,
    ttl_ms: int,
    tenant: str,
    flow: str,
    to: str,
    epoch: int,
    request: str,
    error: str | None,
    answer: str | None,
    output_ref: dict[str, Any] | None,
    texts_hold: str | None,
    day: int,
    texts: Texts,
    events: Events,
) -> None: ...


@script("flow")
def delete(
    flow_key: Key, log: Key, due: Key, flows: Key, outbox: Key, deliveries: Key, *, flow: str
) -> None: ...


@script("flow")
def record_failure(flow_key: Key, *, nonce: str, error: str) -> None: ...


@script("flow")
def reserve(
    flow_key: Key, *, step: str, epoch: int, call_id: str, call: dict[str, Any]
) -> None: ...


@script("flow", "money")
def settle(
    flow_key: Key,
    log: Key,
    yesterday: Key,
    today: Key,
    tomorrow: Key,
    *,
    channel: str,
    step: str,
    epoch: int,
    call_id: str,
    used: dict[str, int],
    day: int,
    events: Events,
) -> None: ...


@script()
def take(
    index: Key, of_tenants: Keys, *, tenants: list[str], limit: int, per_tenant: int, lease_ms: int
) -> None: ...


@script()
def outbox_lease(
    index: Key, of_tenants: Keys, *, tenants: list[str], limit: int, per_tenant: int, lease_ms: int
) -> None: ...


@script()
def outbox_save(
    outbox: Key,
    deliveries: Key,
    index: Key,
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
