"""Outbox over Redis: a zset of flows by when to look at them, and a hash of how far each has come.

| key | type | holds |
|---|---|---|
| `{p}:outbox` | zset | tenant -> when to look into its outbox (ms) |
| `{p}:t:outbox` | zset | every flow with webhooks still to be sent -> when to look at it (ms) |
| `{p}:t:outbox:deliveries` | hash | flow -> JSON: epoch, number, index, failures, disabled, wait_ms |

The first two are filled by `create.lua`, so that a launch and its webhooks are one.
"""

import json
from typing import Any

from core.adapters.upstash import scripts
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.scripts import ScriptRunner
from core.crews.ledger import FencedError
from core.webhooks.outbox import Delivery, DeliveryCursor, WebhookKind


class UpstashOutbox:
    """Keeps how far flows have come, until all of it is sent."""

    def __init__(self, redis: Commands, keys: Keyspace | None = None) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._scripts = ScriptRunner(redis)

    async def tenants(self) -> list[str]:
        """Return the tenants that have a flow in the outbox, and perhaps some others."""
        indexes = [["ZRANGE", self._keys.outbox_index(t), 0, -1] for t in self._keys.all_tags()]
        return [tenant for found in await self._redis.pipeline(indexes) for tenant in found]

    async def lease(self, tenant: str, limit: int, lease_ms: int) -> list[Delivery]:
        """Return flows that are due, leased."""
        keys, index = self._keys, self._keys.outbox_index(self._keys.tag(tenant))
        outbox, deliveries = keys.outbox(tenant), keys.deliveries(tenant)
        call = scripts.outbox_lease(
            outbox, deliveries, index, tenant=tenant, limit=limit, lease_ms=lease_ms
        )
        reply: list[str] = await self._scripts.run(call)
        return [_delivery(*pair) for pair in zip(reply[::2], reply[1::2], strict=True)]

    async def save(self, tenant: str, delivery: Delivery, delay_ms: int) -> None:
        """Save how far a flow has come."""
        await self._write(tenant, delivery, _record(delivery), delay_ms)

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        """Take a flow out."""
        await self._write(tenant, delivery, None, 0)

    async def _write(
        self, tenant: str, delivery: Delivery, record: str | None, delay_ms: int
    ) -> None:
        call = scripts.outbox_save(
            self._keys.outbox(tenant),
            self._keys.deliveries(tenant),
            flow=delivery.flow,
            epoch=delivery.epoch,
            record=record,
            delay_ms=delay_ms,
        )
        if await self._scripts.run(call) == "fenced":
            raise FencedError


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
