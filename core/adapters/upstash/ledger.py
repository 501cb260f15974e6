"""RunLedger over Redis: every operation is one script, so it happens whole or not at all."""

import secrets
from collections.abc import Sequence
from typing import Any

from core.adapters.upstash import records
from core.adapters.upstash.calls import ScriptRunner, encoded
from core.adapters.upstash.commands import Commands, read
from core.adapters.upstash.definitions import Definitions
from core.adapters.upstash.due import DueIndex, DueKind
from core.adapters.upstash.flow_scripts import FlowScripts
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import FlowKeys, OutboxKeys, TrialKeys
from core.adapters.upstash.scripts import flows as scripts
from core.blobs import BlobRef
from core.costs.model_choices import TaskOutcome, tasks_of
from core.crews.ledger import (
    FOR_MONEY,
    ID_TAKEN,
    LEAST_WAIT_MS,
    Claim,
    Launch,
    StepBusy,
    StepWrite,
)
from core.crews.ledger_rules import release_events, transition_id
from core.due_loop import Due
from core.errors import ConflictError
from core.flows import Flow, Status, Step
from core.flows.events import Event
from core.flows.state import output_ref
from core.json_text import compact


class UpstashRunLedger:
    """Changes flows. The keys of one that has ended live for `ttl_seconds` from then on."""

    def __init__(
        self,
        redis: Commands,
        ttl_seconds: float,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._ttl_ms = round(ttl_seconds * 1000)
        self._scripts = FlowScripts(runner := runner or ScriptRunner(redis), self._keys)
        self._due = DueIndex(redis, runner, self._keys, due_flows(self._keys))
        self._definitions = Definitions(redis, self._keys)

    async def create(self, tenant: str, launch: Launch) -> bool:
        """Begin a flow."""
        keys = self._keys
        call = scripts.create(
            FlowKeys.of(keys, tenant, launch.flow),
            keys.flows(tenant),
            keys.definitions(tenant),
            OutboxKeys.of(keys, tenant),
            TrialKeys.of(keys, tenant).models,
            digest=launch.digest,
            crew=launch.crew,
            tasks=tasks_of(launch.definition),
            definition_digest=launch.definition_digest,
            created_ms=launch.created_ms,
            limit_ms=launch.time_limit_ms,
            steps=len(launch.steps),
            webhooks=bool(launch.webhooks),
            texts=[compact(launch.definition), *records.launched(launch)],
            events=encoded(launch.first_events()),
        )
        (verdict,) = await self._scripts.run(call, launch.flow, "the launch")
        if verdict == "conflict":
            raise ConflictError(ID_TAKEN)
        return verdict == "created"

    async def created_by(self, tenant: str, flow: str, digest: str) -> bool:
        """Tell whether this request made it."""
        command = ["HMGET", self._keys.flow(tenant, flow), "digest"]
        (found,) = await read(self._redis, command, fresh=True)
        if found not in (None, digest):
            raise ConflictError(ID_TAKEN)
        return found == digest

    async def state(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        """Return the whole state."""
        command = ["HGETALL", self._keys.flow(tenant, flow)]
        reply = await read(self._redis, command, fresh=fresh)
        return await self._definitions.flow(tenant, flow, reply)

    async def announce_start(self, tenant: str, flow: str, events: list[Event]) -> None:
        """Tell that a worker loads."""
        of = FlowKeys.of(self._keys, tenant, flow)
        await self._scripts.run(scripts.announce_start(of, events=encoded(events)), flow)

    async def claim(
        self,
        tenant: str,
        flow: str,
        step: Step,
        *,
        owner: str,
        lease_ms: int,
        events: list[Event],
        seen: int = 0,
        more: bool = False,
    ) -> Claim | StepBusy:
        """Hold a step."""
        call = scripts.claim(
            FlowKeys.of(self._keys, tenant, flow),
            self._scripts.money(tenant),
            step=step.id,
            epoch=step.epoch,
            owner=owner,
            lease_ms=lease_ms,
            seen=seen,
            more=more,
            events=encoded(events),
        )
        verdict, value, *attempt = await self._scripts.run(call, flow)
        return (
            StepBusy(value) if verdict == "busy" else Claim(tenant, flow, step.id, value, *attempt)
        )

    async def add_steps(self, tenant: str, known: Flow, steps: tuple[Step, ...]) -> Flow:
        """Add steps."""
        call = scripts.add_steps(
            FlowKeys.of(self._keys, tenant, known.id),
            steps=[
                {
                    "id": s.id,
                    "record": records.step_fields(s),
                    "public": compact(s.public()),
                }
                for s in steps
            ],
            known=known.head.version,
        )
        _, *changes = await self._scripts.run(call, known.id)
        return await self._state_after(tenant, known, changes, {})

    async def _state_after(
        self, tenant: str, known: Flow, changes: list[Any], own: dict[str, Any]
    ) -> Flow:
        """Return the state that a script left; read whole where too much has changed to tell."""
        match changes:
            case [fields, parts]:
                return records.updated(known, records.as_dict(fields), parts, own)
            case _:
                return await self.state(tenant, known.id, fresh=True)

    async def reschedule(
        self, tenant: str, flow: str, delay_ms: int, *, seen: int | None = None
    ) -> None:
        """Have a flow looked at later."""
        of = FlowKeys.of(self._keys, tenant, flow)
        call = scripts.reschedule(of, delay_ms=delay_ms, seen=seen)
        await self._scripts.run(call, flow)

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        """Append events."""
        call = scripts.emit(
            FlowKeys.of(self._keys, claim.tenant, claim.flow),
            step=claim.step,
            epoch=claim.epoch,
            seq=seq,
            lease_ms=lease_ms,
            message=write.message,
            error=write.error,
            events=encoded(write.events),
        )
        _, number = await self._scripts.run(call, claim.flow, "what the step emits")
        return number

    async def release(
        self, claim: Claim, seq: int, write: StepWrite, *, delay_ms: int, reason: str
    ) -> None:
        """Give a claim back."""
        call = scripts.release(
            FlowKeys.of(self._keys, claim.tenant, claim.flow),
            self._scripts.money(claim.tenant),
            step=claim.step,
            epoch=claim.epoch,
            seq=seq,
            delay_ms=delay_ms,
            reason=reason,
            events=encoded(release_events(claim, write, delay_ms, reason)),
        )
        await self._scripts.run(call, claim.flow, "what the step emits")

    async def commit(
        self,
        claim: Claim,
        seq: int,
        result: dict[str, Any] | BlobRef,
        write: StepWrite,
        known: Flow | None = None,
    ) -> Flow:
        """Store a step's result."""
        text = records.result_text(result)
        call = scripts.commit(
            FlowKeys.of(self._keys, claim.tenant, claim.flow),
            self._keys.journal(claim.tenant, claim.flow),
            TrialKeys.of(self._keys, claim.tenant),
            step=claim.step,
            epoch=claim.epoch,
            seq=seq,
            known=known.head.version if known else 0,
            journal=[f"{key} {claim.step}" for key in write.journal],
            outcome=records.outcome(write.outcome) if write.outcome else None,
            texts=[text],
            events=encoded(write.events),
        )
        _, *changes = await self._scripts.run(call, claim.flow, "the result")
        if known is None:
            return await self.state(claim.tenant, claim.flow, fresh=True)
        return await self._state_after(
            claim.tenant, known, changes, {claim.step: records.result(text)}
        )

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
        outcomes: Sequence[TaskOutcome] = (),
        budgets_version: str | None = None,
    ) -> None:
        """Change the status."""
        is_large = isinstance(output, BlobRef)
        name, payload = _payload(None if is_large else output, waiting, answer)
        call = scripts.transition(
            FlowKeys.of(self._keys, tenant, flow),
            self._keys.journal(tenant, flow),
            self._scripts.money(tenant),
            self._keys.budgets(tenant),
            self._keys.budget_waits(tenant),
            TrialKeys.of(self._keys, tenant),
            ttl_ms=self._ttl_ms,
            to=to.value,
            epoch=status_epoch,
            transition_id=transition_id(to, output, error, waiting, answer),
            error=error,
            answer=answer[0] if answer else None,
            output_ref=output_ref(flow, output.bytes) if is_large else None,
            text_is=name,
            until_ms=(waiting or {}).get("until_ms"),
            least_wait_ms=LEAST_WAIT_MS,
            for_money=(waiting or {}).get("reason") == FOR_MONEY,
            budgets_version=budgets_version,
            outcomes=[records.outcome(each) for each in outcomes],
            texts=[] if name is None else [compact(payload)],
            events=encoded(events, payload),
        )
        await self._scripts.run(call, flow, f"the {name or 'error'}")

    async def record_failure(self, tenant: str, flow: str) -> int:
        """Count a failure."""
        of, nonce = FlowKeys.of(self._keys, tenant, flow), secrets.token_hex(8)
        call = scripts.record_failure(of, nonce=nonce)
        _, failures = await self._scripts.run(call, flow)
        return failures

    async def delete(self, tenant: str, flow: str) -> None:
        """Remove a flow."""
        keys = self._keys
        of, outbox = FlowKeys.of(keys, tenant, flow), OutboxKeys.of(keys, tenant)
        call = scripts.delete(of, keys.flows(tenant), outbox)
        verdict, *status = await self._scripts.run(call, flow)
        if verdict == "not_ended":
            raise ConflictError(f"the flow is {status[0]}: cancel it first")

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[str]:
        """Lease flows that are due."""
        return await self._due.lease(limit, per_tenant, lease_ms)


def due_flows(keys: Keyspace) -> DueKind[str]:
    """Return how flows are leased that are due."""
    return DueKind(
        keys.due_index,
        lambda tenant: (keys.due(tenant), keys.flows(tenant), keys.definitions(tenant)),
        scripts.lease,
        lambda texts: list(zip(texts[::2], texts[1::2], strict=True)),
    )


def _payload(
    output: Any, waiting: dict[str, Any] | None, answer: tuple[str, dict[str, Any]] | None
) -> tuple[str | None, Any]:
    """Return the one value of a transition that may be large, and what it is; no two go together."""
    if output is not None:
        return "output", output
    if waiting is not None:
        return "waiting", waiting
    return ("answer", answer[1]) if answer else (None, None)
