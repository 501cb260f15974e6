"""Outbox over Redis: a zset of flows by when to look at them, and a hash of how far each has come.

| key | type | holds |
|---|---|---|
| `{p}:outbox` | zset | tenant -> when to look into its outbox (ms) |
| `{p}:t:outbox` | zset | every flow with webhooks still to be sent -> when to look at it (ms) |
| `{p}:t:outbox:deliveries` | hash | flow -> JSON: epoch, number, index, failures, disabled, wait_ms |
| | | and leased_until (ms) while somebody has it |

The first two are filled by `create.lua`, so that a launch and its webhooks are one; `transition.lua`
makes a flow due whose status changes.
"""

import json
from typing import Any

from core.adapters.upstash import scripts
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.due import Taken, take_due
from core.adapters.upstash.keys import Keyspace
from core.crews.ledger import FencedError
from core.polling import Batch
from core.webhooks.outbox import Delivery, DeliveryCursor, News, WebhookKind

Leased = tuple[str, Delivery]  # of which tenant


class UpstashOutbox:
    """Keeps how far flows have come, until all of it is sent."""

    def __init__(self, redis: Commands, keys: Keyspace | None = None) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._scripts = ScriptRunner(redis)

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Batch[Delivery]:
        """Return flows that are due, leased."""

        async def of(tag: str, tenants: list[str], room: int) -> Taken[Leased]:
            return await self._lease(tag, tenants, room, per_tenant, lease_ms)

        indexes = {tag: self._keys.outbox_index(tag) for tag in self._keys.all_tags()}
        return Batch(*await take_due(self._redis, indexes, limit, of))

    async def _lease(
        self, tag: str, tenants: list[str], limit: int, per_tenant: int, lease_ms: int
    ) -> Taken[Leased]:
        keys = self._keys
        call = scripts.outbox_lease(
            keys.outbox_index(tag),
            [key for t in tenants for key in (keys.outbox(t), keys.deliveries(t))],
            tenants=tenants,
            limit=limit,
            per_tenant=per_tenant,
            lease_ms=lease_ms,
        )
        taken, soonest, moved = await self._scripts.run(call)
        leased = zip(taken[::3], taken[1::3], taken[2::3], strict=True)
        deliveries = [(tenant, _delivery(flow, record)) for tenant, flow, record in leased]
        return Taken(deliveries, [float(soonest)] if soonest else [], bool(moved))

    async def renew(self, tenant: str, delivery: Delivery, lease_ms: int) -> None:
        """Save how far a flow has come, and keep it."""
        record = _record(delivery)
        await self._write(tenant, delivery, record=record, delay_ms=lease_ms, leased=True)

    async def save(
        self, tenant: str, delivery: Delivery, delay_ms: int, news: News | None = None
    ) -> None:
        """Save how far a flow has come, and give it back."""
        look = {} if news is None else {"seen": news.seen, "soon_ms": news.soon_ms}
        record = _record(delivery)
        await self._write(tenant, delivery, record=record, delay_ms=delay_ms, **look)

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        """Take a flow out."""
        await self._write(tenant, delivery)

    async def _write(self, tenant: str, delivery: Delivery, **saved: Any) -> None:
        keys = self._keys
        call = scripts.outbox_save(
            keys.outbox(tenant),
            keys.deliveries(tenant),
            keys.outbox_index(keys.tag(tenant)),
            keys.flow(tenant, delivery.flow),
            tenant=tenant,
            flow=delivery.flow,
            epoch=delivery.epoch,
            **saved,
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
            "asked": [delivery.asked.number, delivery.asked.index],
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
        DeliveryCursor(*stored.get("asked", ())),
    )
