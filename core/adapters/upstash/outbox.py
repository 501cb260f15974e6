"""Outbox over Redis: a zset of flows by when to look at them, and a hash of how far each is told.

| key | type | holds |
|---|---|---|
| `{t}:outbox` | zset | every flow with webhooks that is not all told -> when to look at it (ms) |
| `{t}:outbox:told` | hash | flow -> JSON: hold, number, part, failures, dead, wait_ms |

The first is filled by `create.lua`, so that a launch and its webhooks are one.
"""

import json
from typing import Any

from core.adapters.upstash import keys, scripts
from core.adapters.upstash.commands import Commands
from core.crews.ledger import FencedError
from core.webhooks import Due, Kind, Place


def _told(tenant: str) -> str:
    return f"{keys.outbox(tenant)}:told"


class UpstashOutbox:
    """Keeps how far flows are told, for `ttl_seconds` after a look at any of the tenant's."""

    def __init__(self, redis: Commands, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds

    async def tenants(self) -> list[str]:
        """Return the tenants that launched something while it may still be kept."""
        return await self._redis.execute(["ZRANGE", keys.TENANTS, 0, -1])

    async def take(self, tenant: str, limit: int, hold_ms: int) -> list[Due]:
        """Return flows that are due, held."""
        arguments = {"limit": limit, "hold_ms": hold_ms}
        reply: list[str] = await self._run("outbox_take", tenant, arguments)
        return [_due(*pair) for pair in zip(reply[::2], reply[1::2], strict=True)]

    async def keep(self, tenant: str, due: Due, delay_ms: int) -> None:
        """Write down how far a flow is told."""
        arguments = {"flow": due.flow, "record": _record(due), "delay_ms": delay_ms}
        await self._insist(tenant, due, arguments)

    async def leave(self, tenant: str, due: Due) -> None:
        """Take a flow out."""
        await self._insist(tenant, due, {"flow": due.flow})

    async def _insist(self, tenant: str, due: Due, arguments: dict[str, Any]) -> None:
        verdict = await self._run("outbox_keep", tenant, arguments | {"hold": due.hold})
        if verdict == "fenced":
            raise FencedError

    async def _run(self, script: str, tenant: str, arguments: dict[str, Any]) -> Any:
        both = [keys.outbox(tenant), _told(tenant)]
        return await scripts.run(
            self._redis, script, both, arguments, ttl_seconds=self._ttl_seconds
        )


def _record(due: Due) -> str:
    return json.dumps(
        {
            "hold": due.hold,
            "number": due.place.number,
            "part": due.place.part,
            "failures": due.failures,
            "dead": " ".join(sorted(due.dead)),  # a list could be empty, which Lua takes for {}
            "wait_ms": due.wait_ms,
        }
    )


def _due(flow: str, record: str) -> Due:
    stored: dict[str, Any] = json.loads(record)
    return Due(
        flow,
        stored["hold"],
        Place(stored.get("number", 0), stored.get("part", 0)),
        stored.get("failures", 0),
        frozenset(Kind(name) for name in stored.get("dead", "").split()),
        stored.get("wait_ms", 0),
    )
