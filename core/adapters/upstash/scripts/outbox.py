"""Scripts of webhooks that are still to be sent."""

from core.adapters.upstash.calls import script
from core.adapters.upstash.script_keys import Key, OutboxKeys, Turn


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
