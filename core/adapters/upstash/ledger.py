"""RunLedger over Redis: every operation is one script, so it happens whole or not at all."""

import json
from pathlib import Path
from typing import Any

from core.adapters.upstash import keys, records, scripts
from core.adapters.upstash.commands import Commands
from core.crews.ledger import Claim, Launch, StepBusy, StepWrite
from core.errors import ConflictError
from core.flows import Flow, Status, Step
from core.flows.events import Event


class UpstashRunLedger:
    """Changes flows. A flow's keys live for `ttl_seconds` after it last changed.

    Those of one that waits live for that long after the end of its time, or after it was last
    looked at.
    """

    def __init__(
        self, redis: Commands, ttl_seconds: int, lua_folder: Path = scripts.FOLDER
    ) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds
        self._lua_folder = lua_folder
        self._scripts = scripts.FlowScripts(redis, ttl_seconds, lua_folder)

    async def create(self, tenant: str, launch: Launch) -> bool:
        """Begin a flow, its tenant first: a sweeper must know of every live flow."""
        await self._register(tenant, -(-(launch.time_limit_ms or 0) // 1000))
        arguments = {
            "flow": launch.flow,
            "digest": launch.digest,
            "created_ms": launch.created_ms,
            "limit_ms": launch.time_limit_ms,
            "told": bool(launch.webhooks),
            "fields": records.launched(launch),
        }
        more_keys = [keys.flows(tenant), keys.due(tenant), keys.outbox(tenant)]
        reply = await self._scripts.on_flow(
            "create", tenant, launch.flow, more_keys, arguments, launch.first_events()
        )
        if reply[0] == "other":
            raise ConflictError("this id belongs to another request")
        return reply[0] == "created"

    async def _register(self, tenant: str, seconds: int = 0) -> None:
        """Have workers look at a tenant for `seconds` and a flow's time to live."""
        live = {"tenant": tenant, "seconds": self._ttl_seconds + seconds}
        await scripts.run(self._redis, "register", [keys.TENANTS], live, folder=self._lua_folder)

    async def state(self, tenant: str, flow: str) -> Flow:
        """Return the whole state."""
        return records.flow(flow, await self._redis.execute(["HGETALL", keys.flow(tenant, flow)]))

    async def claim(
        self, tenant: str, flow: str, step: Step, *, owner: str, lease_ms: int, events: list[Event]
    ) -> Claim | StepBusy:
        """Hold a step."""
        arguments = {
            "flow": flow,
            "step": step.id,
            "seen": step.epoch,
            "owner": owner,
            "lease_ms": lease_ms,
        }
        verdict, value = await self._scripts.counting(
            "claim", tenant, flow, [keys.due(tenant)], arguments, events
        )
        return StepBusy(value) if verdict == "busy" else Claim(tenant, flow, step.id, value)

    async def add_steps(self, tenant: str, flow: str, steps: tuple[Step, ...]) -> Flow:
        """Add steps."""
        new = [
            {"id": s.id, "record": records.step_fields(s), "public": json.dumps(s.public())}
            for s in steps
        ]
        _, state = await self._scripts.on_flow("add_steps", tenant, flow, [], {"steps": new})
        return records.flow(flow, state)

    async def reschedule(self, tenant: str, flow: str, delay_ms: int) -> None:
        """Have a flow looked at later."""
        _, status = await self._scripts.on_flow(
            "reschedule",
            tenant,
            flow,
            [keys.due(tenant), keys.outbox(tenant)],
            {"flow": flow, "delay_ms": delay_ms},
        )
        if status == Status.WAITING:
            await self._register(tenant)

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        """Append events."""
        arguments = {
            **_written(claim, seq),
            "lease_ms": lease_ms,
            "message": write.message,
            "error": write.error,
        }
        _, number = await self._scripts.on_flow(
            "emit", claim.tenant, claim.flow, [], arguments, write.events
        )
        return number

    async def commit(
        self, claim: Claim, seq: int, result: dict[str, Any], write: StepWrite
    ) -> Flow:
        """Store a step's result."""
        arguments = {**_written(claim, seq), "flow": claim.flow, "result": _json(result)}
        _, state = await self._scripts.on_flow(
            "commit", claim.tenant, claim.flow, [keys.due(claim.tenant)], arguments, write.events
        )
        return records.flow(claim.flow, state)

    async def transition(
        self,
        tenant: str,
        flow: str,
        to: Status,
        *,
        status_epoch: int,
        events: list[Event],
        output: Any = None,
        error: str | None = None,
        waiting: dict[str, Any] | None = None,
        answer: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        """Change the status."""
        if not to.terminal:
            await self._register(tenant)
        arguments = {
            "flow": flow,
            "to": to.value,
            "epoch": status_epoch,
            "output": None if output is None else _json(output),
            "error": error,
            "waiting": None if waiting is None else _json(waiting),
            "answer": answer and [answer[0], _json(answer[1])],
        }
        more_keys = [keys.due(tenant), keys.outbox(tenant)]
        await self._scripts.counting("transition", tenant, flow, more_keys, arguments, events)

    async def take(self, tenant: str, limit: int, back_off_ms: int) -> list[str]:
        """Return flows that are due."""
        arguments = {"limit": limit, "back_off_ms": back_off_ms}
        return await scripts.run(
            self._redis, "take", [keys.due(tenant)], arguments, folder=self._lua_folder
        )

    async def tenants(self) -> list[str]:
        """Return the tenants whose latest flow has not expired, and perhaps some others."""
        return await self._redis.execute(["ZRANGE", keys.TENANTS, 0, -1])


def _written(claim: Claim, seq: int) -> dict[str, Any]:
    return {"step": claim.step, "epoch": claim.epoch, "seq": seq}


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
