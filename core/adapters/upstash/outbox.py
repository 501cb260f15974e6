"""Outbox over Redis: a zset of flows by when to look at them, and a hash of how far each has come.

| key | type | holds |
|---|---|---|
| `{t}:outbox` | zset | every flow with webhooks still to be sent -> when to look at it (ms) |
| `{t}:outbox:deliveries` | hash | flow -> JSON: epoch, number, index, failures, disabled, wait_ms |

The first is filled by `create.lua`, so that a launch and its webhooks are one.
"""

import json
from typing import Any

from core.adapters.upstash import keys, scripts
from core.adapters.upstash.commands import Commands
from core.crews.ledger import FencedError
from core.webhooks.outbox import Delivery, DeliveryCursor, WebhookKind


def _deliveries(tenant: str) -> str:
    return f"{keys.outbox(tenant)}:deliveries"


class UpstashOutbox:
    """Keeps how far flows have come, for `ttl_seconds` after a look at any of the tenant's."""

    def __init__(self, redis: Commands, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds

    async def tenants(self) -> list[str]:
        """Return the tenants that launched something while it may still be kept."""
        return await self._redis.execute(["ZRANGE", keys.TENANTS, 0, -1])

    async def lease(self, tenant: str, limit: int, lease_ms: int) -> list[Delivery]:
        """Return flows that are due, leased."""
        arguments = {"limit": limit, "lease_ms": lease_ms}
        reply: list[str] = await self._run("outbox_lease", tenant, arguments)
        return [_delivery(*pair) for pair in zip(reply[::2], reply[1::2], strict=True)]

    async def save(self, tenant: str, delivery: Delivery, delay_ms: int) -> None:
        """Save how far a flow has come."""
        arguments = {"flow": delivery.flow, "record": _record(delivery), "delay_ms": delay_ms}
        await self._write(tenant, delivery, arguments)

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        """Take a flow out."""
        await self._write(tenant, delivery, {"flow": delivery.flow})

    async def _write(self, tenant: str, delivery: Delivery, arguments: dict[str, Any]) -> None:
        verdict = await self._run("outbox_save", tenant, arguments | {"epoch": delivery.epoch})
        if verdict == "fenced":
            raise FencedError

    async def _run(self, script: str, tenant: str, arguments: dict[str, Any]) -> Any:
        both = [keys.outbox(tenant), _deliveries(tenant)]
        return await scripts.run(
            self._redis, script, both, arguments, ttl_seconds=self._ttl_seconds
        )


def _record(delivery: Delivery) -> str:
    return json.dumps(
        {
            "epoch": delivery.epoch,
            "number": delivery.cursor.number,
            "index": delivery.cursor.index,
            "failures": delivery.failures,
            # as a text: an empty list would be {} for Lua
            "disabled": " ".join(sorted(delivery.disabled_kinds)),
            "wait_ms": delivery.wait_ms,
        }
    )


def _delivery(flow: str, record: str) -> Delivery:
    stored: dict[str, Any] = json.loads(record)
    return Delivery(
        flow,
        stored["epoch"],
        DeliveryCursor(stored.get("number", 0), stored.get("index", 0)),
        stored.get("failures", 0),
        frozenset(WebhookKind(name) for name in stored.get("disabled", "").split()),
        stored.get("wait_ms", 0),
    )
