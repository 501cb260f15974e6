"""Outbox over Redis: a zset of flows by when to look at them, and a hash of how far each has come.

A flow is put into it by `create.lua`, so that a launch and its webhooks are one; `transition.lua`
makes a flow due whose status changes. keys.py names the keys.
"""

import json
from typing import Any

from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.due import DueIndex, DueKind
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import OutboxKeys
from core.adapters.upstash.scripts import outbox as scripts
from core.crews.ledger import FencedError
from core.due_loop import Due
from core.webhooks.outbox import Delivery, DeliveryCursor, News, WebhookKind


class UpstashOutbox:
    """Keeps how far flows have come, until all of it is sent."""

    def __init__(
        self, redis: Commands, keys: Keyspace | None = None, runner: ScriptRunner | None = None
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._scripts = runner or ScriptRunner(redis)
        self._due = DueIndex(redis, self._scripts, self._keys, _due_deliveries(self._keys))

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[Delivery]:
        """Return flows that are due, leased."""
        return await self._due.lease(limit, per_tenant, lease_ms)

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
            OutboxKeys.of(keys, tenant),
            keys.flow(tenant, delivery.flow),
            tenant=tenant,
            flow=delivery.flow,
            epoch=delivery.epoch,
            **saved,
        )
        if await self._scripts.run(call) == "fenced":
            raise FencedError


def _due_deliveries(keys: Keyspace) -> DueKind[Delivery]:
    """Return how flows are leased of which webhooks are due."""

    def read(texts: list[str]) -> list[tuple[str, Delivery]]:
        leased = zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        return [(tenant, _delivery(flow, record)) for tenant, flow, record in leased]

    return DueKind(
        keys.outbox_index,
        lambda tenant: (keys.outbox(tenant), keys.deliveries(tenant)),
        scripts.outbox_lease,
        read,
    )


def _record(delivery: Delivery) -> str:
    alert = {} if delivery.alert is None else {"alert": delivery.alert}
    return json.dumps(
        alert
        | {
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
        stored.get("alert"),
    )
