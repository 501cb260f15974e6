"""RunLedger over Redis: every operation is one script, so it happens whole or not at all."""

import json
import time
from typing import Any

from core import events as agui
from core.adapters.upstash import keys, records, scripts
from core.adapters.upstash.commands import Commands
from core.costs.usage import Usage
from core.crews.ledger import Busy, Claim, FencedError, Launch, Write
from core.errors import ConflictError, NotFoundError
from core.events import Event
from core.flows import Flow, Status, Step


class UpstashRunLedger:
    """Changes flows. A flow's keys live for `ttl_seconds` after it last changed."""

    def __init__(self, redis: Commands, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds

    async def create(self, tenant: str, launch: Launch) -> bool:
        """Begin a flow, its tenant first: a sweeper must know of every live flow."""
        await self._register(tenant)
        fields = {
            "inc": launch.incarnation,
            "crew": launch.crew,
            "definition": json.dumps(launch.definition),
            "inputs": json.dumps(launch.inputs),
        } | {
            f"step:{step.id}": json.dumps(records.blank(step, order))
            for order, step in enumerate(launch.steps)
        }
        arguments = {
            "flow": launch.flow,
            "digest": launch.digest,
            "created_ms": launch.created_ms,
            "fields": [text for pair in fields.items() for text in pair],
        }
        kept = [keys.flows(tenant), keys.due(tenant)]
        reply = await self._run(
            "create", tenant, launch.flow, kept, arguments, launch.first_events()
        )
        if reply == "other":
            raise ConflictError("this id belongs to another request")
        return reply == "created"

    async def _register(self, tenant: str) -> None:
        live_until = int((time.time() + self._ttl_seconds) * 1000)
        await self._redis.pipeline(
            [
                ["ZADD", keys.TENANTS, "GT", live_until, tenant],
                ["EXPIRE", keys.TENANTS, self._ttl_seconds],
            ]
        )

    async def state(self, tenant: str, flow: str) -> Flow:
        """Return the whole state."""
        return records.flow(flow, await self._redis.execute(["HGETALL", keys.flow(tenant, flow)]))

    async def claim(
        self, tenant: str, flow: str, step: Step, *, owner: str, lease_ms: int, events: list[Event]
    ) -> Claim | Busy:
        """Hold a step."""
        arguments = {
            "flow": flow,
            "step": step.id,
            "seen": step.epoch,
            "owner": owner,
            "lease_ms": lease_ms,
        }
        verdict, *value = await self._run(
            "claim", tenant, flow, [keys.due(tenant)], arguments, events
        )
        if verdict == "busy":
            return Busy(value[0])
        _check(verdict, flow)
        return Claim(tenant, flow, step.id, value[0])

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: Write) -> int:
        """Append events."""
        arguments = _written(claim, seq, write)
        arguments |= {"lease_ms": lease_ms, "message": write.message}
        verdict, *value = await self._run(
            "emit", claim.tenant, claim.flow, [], arguments, write.events
        )
        _check(verdict, claim.flow)
        return value[0]

    async def commit(self, claim: Claim, seq: int, result: dict[str, Any], write: Write) -> Flow:
        """Store a step's result."""
        arguments = _written(claim, seq, write) | {
            "flow": claim.flow,
            "result": json.dumps(result, allow_nan=False),
        }
        due = [keys.due(claim.tenant)]
        verdict, *value = await self._run(
            "commit", claim.tenant, claim.flow, due, arguments, write.events
        )
        _check(verdict, claim.flow)
        return records.flow(claim.flow, value[0])

    async def move(
        self,
        tenant: str,
        flow: str,
        to: Status,
        *,
        status_epoch: int,
        events: list[Event],
        output: Any = None,
        error: str | None = None,
    ) -> None:
        """Change the status."""
        arguments = {
            "flow": flow,
            "to": to.value,
            "epoch": status_epoch,
            "output": None if output is None else json.dumps(output, allow_nan=False),
            "error": error,
        }
        verdict = await self._run("move", tenant, flow, [keys.due(tenant)], arguments, events)
        _check(verdict, flow)

    async def take(self, tenant: str, limit: int, back_off_ms: int) -> list[str]:
        """Return flows that are due."""
        arguments = {"limit": limit, "back_off_ms": back_off_ms}
        return await scripts.run(self._redis, "take", [keys.due(tenant)], arguments)

    async def tenants(self) -> list[str]:
        """Return the tenants whose latest flow has not expired."""
        now_ms = int(time.time() * 1000)
        return await self._redis.execute(["ZRANGEBYSCORE", keys.TENANTS, now_ms, "+inf"])

    async def _run(
        self,
        script: str,
        tenant: str,
        flow: str,
        more_keys: list[str],
        arguments: dict[str, Any],
        events: list[Event],
    ) -> Any:
        return await scripts.run(
            self._redis,
            script,
            [keys.flow(tenant, flow), keys.log(tenant, flow), *more_keys],
            arguments,
            channel=keys.live(tenant, flow),
            ttl_seconds=self._ttl_seconds,
            events=[agui.encode(event) for event in events],
        )


def _written(claim: Claim, seq: int, write: Write) -> dict[str, Any]:
    usage: Usage | None = write.usage
    return {
        "step": claim.step,
        "epoch": claim.epoch,
        "seq": seq,
        "usage": usage and usage.public(),
    }


def _check(verdict: str, flow: str) -> None:
    if verdict == "gone":
        raise NotFoundError(f"no flow {flow}")
    if verdict == "fenced":
        raise FencedError


class DueSetWake:
    """Wake over the due set itself: the flow becomes due, and a worker that polls the set sees it."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis

    async def wake(self, tenant: str, flow: str) -> None:
        """Make a live flow due since ever; one that has ended stays out of the set."""
        await self._redis.execute(["ZADD", keys.due(tenant), "XX", "LT", 0, flow])
