"""Changing flows in memory: each operation runs without a pause, so it happens whole."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from core import time_of_day
from core.adapters.memory.agenda import MemoryAgenda
from core.adapters.memory.due import Plan
from core.adapters.memory.models import MemoryModels
from core.adapters.memory.records import Record
from core.blobs import BlobRef
from core.costs.model_choices import TaskOutcome
from core.crews.ledger import (
    FOR_MONEY,
    ID_TAKEN,
    Claim,
    FencedError,
    Launch,
    StepBusy,
    StepWrite,
)
from core.crews.ledger_rules import release_events, transition_id
from core.errors import ConflictError
from core.flows import Flow, Status, Step
from core.flows import events as agui
from core.flows.events import Event
from core.json_text import encodable


class MemoryFlows(MemoryAgenda):
    """FlowLog, RunLedger and WakeQueue in memory.

    `outbox` holds the flows of which webhooks are to be sent, and since when (ms).
    """

    def __init__(self, now_ms: Callable[[], int] = time_of_day.now_ms) -> None:
        super().__init__(now_ms)
        self._orders = itertools.count()
        self.outbox: dict[tuple[str, str], int] = {}
        self.models = MemoryModels()

    async def create(self, tenant: str, launch: Launch) -> bool:
        known = self._records.get((tenant, launch.flow))
        if known is not None:
            if known.digest != launch.digest:
                raise ConflictError(ID_TAKEN)
            return False
        flow, now = launch.first_state(), self._now_ms()
        limit = launch.time_limit_ms
        flow = replace(flow, deadline_ms=None if limit is None else now + limit)
        flow = replace(flow, models=self.models.choices(tenant, launch))
        record = Record(flow, launch.digest, next(self._orders), flow.public(), Plan(now))
        record.append(launch.first_events())
        self._records[tenant, launch.flow] = record
        self.due.put(tenant, launch.flow, now)
        if launch.webhooks:
            self.outbox[tenant, launch.flow] = now
        return True

    async def created_by(self, tenant: str, flow: str, digest: str) -> bool:
        known = self._records.get((tenant, flow))
        if known is not None and known.digest != digest:
            raise ConflictError(ID_TAKEN)
        return known is not None

    async def state(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        del fresh
        return await self.snapshot(tenant, flow)

    async def announce_start(self, tenant: str, flow: str, events: list[Event]) -> None:
        record, now = self.record(tenant, flow), self._now_ms()
        if record.flow.head.status is Status.QUEUED and record.flow.starting_ms is None:
            record.flow = replace(record.flow, starting_ms=now)
            record.change(events, now)

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
        record, now = self.record(tenant, flow), self._now_ms()
        known = record.step(step.id)
        if known is None:
            raise FencedError
        if record.owners.get(step.id) == owner and known.state == "running":
            return Claim(tenant, flow, step.id, known.epoch, known.attempts)
        free = known.state in ("pending", "running") and known.epoch == step.epoch
        if record.ended or record.waits or not free:
            raise FencedError
        record.check_time(now)
        record.plan.looked(seen)
        if (until := record.plan.leases.get(step.id, 0)) > now:
            self.schedule(tenant, record, now)
            return StepBusy(until - now)
        self._begin(record, known, owner, now, now + lease_ms)
        self.count_lost(tenant, record, step.id)
        message = record.messages.pop(step.id, None)
        if message:
            record.append(agui.text_end(message))
        record.change(events, now)
        if more:
            record.plan.look_by(now, record.flow.head.version)
        self.schedule(tenant, record, now)
        return Claim(tenant, flow, step.id, known.epoch + 1, known.attempts + 1)

    def _begin(self, record: Record, step: Step, owner: str, now: int, until: int) -> None:
        record.owners[step.id], record.writes[step.id] = owner, (0, 0)
        record.numbers[step.id] = set()
        record.plan.leases[step.id] = until
        record.put(
            replace(
                step,
                state="running",
                epoch=step.epoch + 1,
                attempts=step.attempts + 1,
                lease_ms=until,
                deferred=None,
                started_ms=step.started_ms or now,
            )
        )
        if record.flow.head.status is Status.QUEUED:
            record.set_status(Status.RUNNING)

    async def add_steps(self, tenant: str, known: Flow, steps: tuple[Step, ...]) -> Flow:
        record = self.record(tenant, known.id)
        if record.ended:
            raise FencedError
        there = {step.id: step for step in record.flow.steps}
        every = tuple(({step.id: step for step in steps} | there).values())
        new = tuple(step for step in every if step.id not in there)
        if new:
            record.flow = replace(record.flow, steps=(*record.flow.steps, *new))
            record.change([], self._now_ms())
        return record.flow

    async def reschedule(
        self, tenant: str, flow: str, delay_ms: int, *, seen: int | None = None
    ) -> None:
        record, now = self.record(tenant, flow), self._now_ms()
        if record.ended:
            return
        record.check_time(now)
        if seen in (None, version := record.flow.head.version):
            record.plan.look, record.plan.seen = now + delay_ms, version
            self.schedule(tenant, record, now)

    def _held(self, claim: Claim, seq: int) -> tuple[Record, Step, int | None]:
        """Return a claim's flow and step, and the number of this write's last event if it was written.

        Raises FencedError.
        """
        record = self.record(claim.tenant, claim.flow)
        step, last = record.held(claim.step, claim.epoch), record.writes[claim.step]
        if seq <= last[0]:
            return record, step, last[1]
        if step.state != "running":
            raise FencedError
        return record, step, None

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        record, step, number = self._held(claim, seq)
        if number is not None:
            return number
        now = self._now_ms()
        record.check_time(now)
        error = step.error if write.error is None else encodable(write.error)
        record.put(replace(step, lease_ms=now + lease_ms, error=error))
        record.plan.leases[claim.step] = now + lease_ms
        self.schedule_with_slack(claim.tenant, record, now, lease_ms / 3)
        record.messages[claim.step] = write.message
        changed = write.error is not None
        number = record.change(write.events, now) if changed else record.append(write.events)
        record.writes[claim.step] = (seq, number)
        return number

    async def release(
        self, claim: Claim, seq: int, write: StepWrite, *, delay_ms: int, reason: str
    ) -> None:
        record, step, number = self._held(claim, seq)
        if number is not None:
            return
        step = replace(step, deferrals=step.deferrals + (delay_ms > 0))
        until_ms = (now := self._now_ms()) + delay_ms
        deferred = {"reason": reason, "until_ms": until_ms} if delay_ms > 0 else None
        step = replace(step, state="pending", attempts=step.attempts - 1, deferred=deferred)
        record.put(replace(step, lease_ms=0))
        record.messages.pop(claim.step, None)
        record.owners.pop(claim.step, None)
        record.plan.leases[claim.step] = until_ms
        self.count_lost(claim.tenant, record, claim.step)
        self.schedule_with_slack(claim.tenant, record, now, 0)
        number = record.change(release_events(claim, write, delay_ms, reason), now)
        record.writes[claim.step] = (seq, number)

    async def commit(
        self,
        claim: Claim,
        seq: int,
        result: dict[str, Any] | BlobRef,
        write: StepWrite,
        known: Flow | None = None,
    ) -> Flow:
        del known
        record, step, number = self._held(claim, seq)
        if number is not None:
            return record.flow
        now = self._now_ms()
        lease_ms = record.plan.leases.pop(claim.step, now)
        record.put(replace(step, state="done", finished_ms=now, lease_ms=0, error=None))
        record.flow = replace(record.flow, results=record.flow.results | {claim.step: result})
        record.writes[claim.step] = (seq, number := record.change(write.events, now))
        record.brought(claim.step, number)
        record.failures = 0
        record.journals.pop(claim.step, None)
        if write.outcome is not None:
            self.models.record(claim.tenant, record, write.outcome, now)
        if not record.waits:
            record.plan.look_by(lease_ms, record.flow.head.version)
        self.schedule_with_slack(claim.tenant, record, now, float("inf"))
        return record.flow

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
        record, now = self.record(tenant, flow), self._now_ms()
        status, epoch = record.flow.head.status, record.flow.status_epoch
        identity = transition_id(to, output, error, waiting, answer)
        if epoch == status_epoch + 1 and status is to and record.moved_by == identity:
            return
        if epoch != status_epoch or status.terminal:
            raise FencedError
        results = record.flow.results | dict([answer] if answer else [])
        record.flow = replace(
            record.flow, status_epoch=epoch + 1, output=output, error=error and encodable(error),
            waiting=waiting, results=results,
        )  # fmt: skip
        record.set_status(to)
        record.moved_by = identity
        for outcome in outcomes:
            self.models.record(tenant, record, outcome, now)
        if to.terminal:
            self._end(tenant, record, now)
        number = record.change(events, now)
        record.flow = replace(record.flow, moved=number)
        if answer is not None:
            record.brought(answer[0], number)
        if not to.terminal:
            self.plan(tenant, record, now, budgets_version)
        self._index((tenant, flow), waiting, now)

    def _index(self, flow: tuple[str, str], waiting: dict[str, Any] | None, now: int) -> None:
        """Say where a flow that has moved is looked for: where budgets change, and webhooks are sent."""
        self.wait_for_money.discard(flow)
        if (waiting or {}).get("reason") == FOR_MONEY:
            self.wait_for_money.add(flow)
        if flow in self.outbox:
            self.outbox[flow] = min(now, self.outbox[flow])

    def _end(self, tenant: str, record: Record, now: int) -> None:
        """End the steps that run with their flow, and the messages that they have open."""
        self.count_lost(tenant, record)
        record.end_steps(now)
        self.due.remove(tenant, record.flow.id)

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Nobody listens here; the flow is due already."""

    async def record_failure(self, tenant: str, flow: str) -> int:
        record = self.record(tenant, flow)
        record.failures += not record.ended
        return record.failures

    async def delete(self, tenant: str, flow: str) -> None:
        if not (record := self.record(tenant, flow)).ended:
            raise ConflictError(f"the flow is {record.flow.head.status}: cancel it first")
        del self._records[tenant, flow]
        self.outbox.pop((tenant, flow), None)
