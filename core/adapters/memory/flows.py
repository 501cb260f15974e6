"""Changing flows in memory: each operation runs without a pause, so it happens whole."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.adapters.memory.log import MemoryLog
from core.adapters.memory.records import Record
from core.costs.budgets import Call
from core.costs.usage import Usage
from core.crews.ledger import Claim, FencedError, Launch, StepBusy, StepWrite
from core.errors import ConflictError
from core.flows import Flow, Status, Step
from core.flows import events as agui
from core.flows.events import Event

DAY_MS = 86_400_000
Spent = dict[tuple[str, str, str], Usage]  # by model, crew and task


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryFlows(MemoryLog):
    """FlowLog, RunLedger and WakeQueue in memory.

    `outbox` holds the flows that somebody is to be told of, and since when (ms); `spent` what was
    counted, by tenant and day.
    """

    def __init__(self, now_ms: Callable[[], int] = _now_ms) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._due: dict[tuple[str, str], int] = {}
        self.outbox: dict[tuple[str, str], int] = {}
        self.spent: dict[tuple[str, str], Spent] = defaultdict(dict)

    def now_ms(self) -> int:
        """Return the store's time."""
        return self._now_ms()

    async def create(self, tenant: str, launch: Launch) -> bool:
        known = self._records.get((tenant, launch.flow))
        if known is not None:
            if known.digest != launch.digest:
                raise ConflictError("this id belongs to another request")
            return False
        flow, now = launch.first_state(), self._now_ms()
        limit = launch.time_limit_ms
        flow = replace(flow, deadline_ms=None if limit is None else now + limit)
        record = Record(flow, launch.digest, len(self._records), flow.public())
        record.append(launch.first_events())
        self._records[tenant, launch.flow] = record
        self._due[tenant, launch.flow] = now
        if launch.webhooks:
            self.outbox[tenant, launch.flow] = now
        return True

    async def state(self, tenant: str, flow: str) -> Flow:
        return await self.snapshot(tenant, flow)

    async def claim(
        self, tenant: str, flow: str, step: Step, *, owner: str, lease_ms: int, events: list[Event]
    ) -> Claim | StepBusy:
        record, now = self.record(tenant, flow), self._now_ms()
        known = record.step(step.id)
        if known is None:
            raise FencedError
        if record.owners.get(step.id) == owner and known.state == "running":
            return Claim(tenant, flow, step.id, known.epoch)
        waits = record.flow.head.status is Status.WAITING
        if record.ended or waits or known.state == "done" or known.epoch != step.epoch:
            raise FencedError
        record.check_time(now)
        if known.state == "running" and known.lease_ms > now:
            self._due[tenant, flow] = min(self._due[tenant, flow], known.lease_ms)
            return StepBusy(known.lease_ms - now)
        self._begin(record, known, owner, now, now + lease_ms)
        self.count_lost(tenant, record, step.id)
        record.change([*_message_end(record.messages.pop(step.id, None)), *events], now)
        self._due[tenant, flow] = now + lease_ms
        return Claim(tenant, flow, step.id, known.epoch + 1)

    def _begin(self, record: Record, step: Step, owner: str, now: int, until: int) -> None:
        record.owners[step.id], record.writes[step.id] = owner, (0, 0)
        record.numbers[step.id] = set()
        started, epoch = step.started_ms or now, step.epoch + 1
        record.put(replace(step, state="running", epoch=epoch, lease_ms=until, started_ms=started))
        if record.flow.head.status is Status.QUEUED:
            record.set_status(Status.RUNNING)

    async def add_steps(self, tenant: str, flow: str, steps: tuple[Step, ...]) -> Flow:
        record = self.record(tenant, flow)
        if record.ended:
            raise FencedError
        known = {step.id: step for step in record.flow.steps}
        every = tuple(({step.id: step for step in steps} | known).values())
        new = tuple(step for step in every if step.id not in known)
        if new:
            record.flow = replace(record.flow, steps=(*record.flow.steps, *new))
            record.change([], self._now_ms())
        return record.flow

    async def reschedule(self, tenant: str, flow: str, delay_ms: int) -> None:
        record, now = self.record(tenant, flow), self._now_ms()
        if record.ended:
            return
        record.check_time(now)
        self._due[tenant, flow] = min(now + delay_ms, record.flow.deadline_ms or now + delay_ms)

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: StepWrite) -> int:
        record, now = self.record(claim.tenant, claim.flow), self._now_ms()
        step, last = record.held(claim.step, claim.epoch), record.writes[claim.step]
        if seq <= last[0]:
            return last[1]
        if record.ended or step.state == "done":
            raise FencedError
        record.check_time(now)
        error = step.error if write.error is None else _clean(write.error)
        record.put(replace(step, lease_ms=now + lease_ms, error=error))
        record.messages[claim.step] = write.message
        changed = write.error is not None
        number = record.change(write.events, now) if changed else record.append(write.events)
        record.writes[claim.step] = (seq, number)
        return number

    async def commit(
        self, claim: Claim, seq: int, result: dict[str, Any], write: StepWrite
    ) -> Flow:
        record, now = self.record(claim.tenant, claim.flow), self._now_ms()
        step = record.held(claim.step, claim.epoch)
        if seq <= record.writes[claim.step][0]:
            return record.flow
        if record.ended or step.state == "done":
            raise FencedError
        record.put(replace(step, state="done", finished_ms=now, lease_ms=0, error=None))
        record.flow = replace(record.flow, results=record.flow.results | {claim.step: result})
        record.writes[claim.step] = (seq, record.change(write.events, now))
        self._due[claim.tenant, claim.flow] = now
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
    ) -> None:
        record, now = self.record(tenant, flow), self._now_ms()
        status, epoch = record.flow.head.status, record.flow.status_epoch
        if epoch == status_epoch + 1 and status is to:
            return
        if epoch != status_epoch or status.terminal:
            raise FencedError
        results = record.flow.results | dict([answer] if answer else [])
        record.flow = replace(
            record.flow, status_epoch=epoch + 1, output=output, error=error and _clean(error),
            waiting=waiting, results=results,
        )  # fmt: skip
        record.set_status(to)
        if to.terminal:
            self.count_lost(tenant, record)
        record.change(events, now)
        self._plan(tenant, record, to, now)

    def _plan(self, tenant: str, record: Record, to: Status, now: int) -> None:
        """Say when a flow that has moved is to be looked at next."""
        if to.terminal:
            del self._due[tenant, record.flow.id]
        elif to is Status.WAITING:
            self._due[tenant, record.flow.id] = record.flow.deadline_ms or now + DAY_MS
        else:
            self._due[tenant, record.flow.id] = now

    def count_lost(self, tenant: str, record: Record, step: str | None = None) -> None:
        """Count the calls under way of a step, or of all, at their bounds."""
        for call in record.lose(step):
            self.count(record, call, call.bound + Usage(lost_calls=1), tenant)

    def count(self, record: Record, call: Call, usage: Usage, tenant: str) -> None:
        """Add what a call consumed to its flow and to the roll-up of the day."""
        record.use(usage)
        day = datetime.fromtimestamp(self._now_ms() / 1000, UTC).date().isoformat()
        spent, of = self.spent[tenant, day], (call.model, call.crew, call.task)
        spent[of] = spent.get(of, Usage()) + usage

    async def take(self, tenant: str, limit: int, back_off_ms: int) -> list[str]:
        now = self._now_ms()
        due = sorted((at, f) for (owner, f), at in self._due.items() if owner == tenant)
        flows = [flow for at, flow in due if at <= now][:limit]
        for flow in flows:
            self._due[tenant, flow] = now + back_off_ms
        return flows

    async def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _ in self._due})

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Make a live flow due at once."""
        if (tenant, flow) in self._due:
            self._due[tenant, flow] = min(self._due[tenant, flow], self._now_ms())


def _clean(text: str) -> str:
    """Return the text without what UTF-8 cannot hold, as any store gives it back."""
    return text.encode("utf-8", "replace").decode()


def _message_end(message: str | None) -> list[Event]:
    return agui.text_end(message) if message else []
