"""All ports in one process' memory: for tests, and as the plainest statement of the contracts.

The contract suites hold this adapter and the ones over Redis and S3 to the same behaviour.
"""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from core import events
from core.crews.ledger import Busy, Claim, Event, FencedError, Launch, Write
from core.errors import ConflictError, NotFoundError
from core.flows import Batch, Entry, Flow, Head, Status, Step, Summary


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class _Record:
    """One flow: its state, its log, who listens, and who wrote last."""

    flow: Flow
    digest: str
    order: int
    published: dict[str, Any]
    log: list[Entry] = field(default_factory=list[Entry])
    viewers: list[asyncio.Queue[Batch]] = field(default_factory=list[asyncio.Queue[Batch]])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    messages: dict[str, str | None] = field(default_factory=dict[str, str | None])
    writes: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def append(self, new: list[Event], *, bump: bool) -> int:
        if bump:
            new = [self._delta(), *new]
        head = self.flow.head
        batch = [Entry(head.sequence + i, events.encode(e)) for i, e in enumerate(new, 1)]
        self.log += batch
        head = replace(head, sequence=head.sequence + len(new))
        self.flow = replace(self.flow, head=head)
        for viewer in self.viewers if batch else ():
            viewer.put_nowait(batch)
        return head.sequence

    def _delta(self) -> Event:
        """Bump the version; return what has changed since the last time."""
        head = replace(self.flow.head, version=self.flow.head.version + 1)
        self.flow = replace(self.flow, head=head, updated_ms=_now_ms())
        before, self.published = self.published, self.flow.public()
        return {"type": "STATE_DELTA", "delta": list(_changes("", before, self.published))}

    def step(self, step: str) -> Step | None:
        return next((s for s in self.flow.steps if s.id == step), None)

    def put(self, step: Step) -> None:
        steps = tuple(step if known.id == step.id else known for known in self.flow.steps)
        self.flow = replace(self.flow, steps=steps)

    def set_status(self, status: Status) -> None:
        self.flow = replace(self.flow, head=replace(self.flow.head, status=status))


class MemoryFlows:
    """FlowLog and RunLedger in memory."""

    def __init__(self, now_ms: Callable[[], int] = _now_ms) -> None:
        self._now_ms = now_ms
        self._records: dict[tuple[str, str], _Record] = {}
        self._due: dict[tuple[str, str], int] = {}

    def _record(self, tenant: str, flow: str) -> _Record:
        if (tenant, flow) not in self._records:
            raise NotFoundError(f"no flow {flow}")
        return self._records[tenant, flow]

    # FlowLog

    async def head(self, tenant: str, flow: str) -> Head:
        return self._record(tenant, flow).flow.head

    async def snapshot(self, tenant: str, flow: str) -> Flow:
        return self._record(tenant, flow).flow

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        listed = [
            Summary(r.flow.id, r.flow.crew, r.flow.head.status, r.flow.created_ms, r.order)
            for (owner, _), r in reversed(self._records.items())
            if owner == tenant and (before is None or r.order < before)
        ]
        return listed[:limit]

    async def entries(self, tenant: str, flow: str, after: int, limit: int) -> Batch:
        log = self._record(tenant, flow).log
        return [entry for entry in log if entry.number > after][:limit]

    @asynccontextmanager
    async def live(self, tenant: str, flow: str) -> AsyncGenerator[AsyncIterator[Batch]]:
        record, queue = self._record(tenant, flow), asyncio.Queue[Batch]()
        record.viewers.append(queue)
        try:
            yield _Queued(queue)
        finally:
            record.viewers.remove(queue)

    # RunLedger

    async def create(self, tenant: str, launch: Launch) -> bool:
        known = self._records.get((tenant, launch.flow))
        if known is not None:
            if known.digest != launch.digest:
                raise ConflictError("this id belongs to another request")
            return False
        flow, now = launch.first_state(), self._now_ms()
        record = _Record(flow, launch.digest, len(self._records), flow.public())
        record.append(launch.first_events(), bump=False)
        self._records[tenant, launch.flow] = record
        self._due[tenant, launch.flow] = now
        return True

    async def state(self, tenant: str, flow: str) -> Flow:
        return await self.snapshot(tenant, flow)

    async def claim(
        self, tenant: str, flow: str, step: Step, *, owner: str, lease_ms: int, events: list[Event]
    ) -> Claim | Busy:
        record, now = self._record(tenant, flow), self._now_ms()
        known = record.step(step.id)
        if known is None:
            raise FencedError
        if record.owners.get(step.id) == owner and known.state == "running":
            return Claim(tenant, flow, step.id, known.epoch)
        if record.flow.head.status.terminal or known.state == "done" or known.epoch != step.epoch:
            raise FencedError
        if known.state == "running" and known.lease_ms > now:
            return Busy(known.lease_ms - now)
        record.owners[step.id], record.writes[step.id] = owner, (0, 0)
        started = known.started_ms or now
        record.put(
            replace(
                known, state="running", epoch=known.epoch + 1, lease_ms=now + lease_ms,
                started_ms=started,
            )
        )  # fmt: skip
        if record.flow.head.status is Status.QUEUED:
            record.set_status(Status.RUNNING)
        record.append([*_message_end(record.messages.pop(step.id, None)), *events], bump=True)
        self._due[tenant, flow] = now + lease_ms
        return Claim(tenant, flow, step.id, known.epoch + 1)

    async def emit(self, claim: Claim, seq: int, lease_ms: int, write: Write) -> int:
        record = self._record(claim.tenant, claim.flow)
        step, last = self._held(record, claim), record.writes[claim.step]
        if seq <= last[0]:
            return last[1]
        if record.flow.head.status.terminal or step.state == "done":
            raise FencedError
        record.put(replace(step, lease_ms=self._now_ms() + lease_ms))
        record.messages[claim.step] = write.message
        return self._write(record, claim, seq, write, bump=write.usage is not None)

    async def commit(self, claim: Claim, seq: int, result: dict[str, Any], write: Write) -> Flow:
        record = self._record(claim.tenant, claim.flow)
        step = self._held(record, claim)
        if seq <= record.writes[claim.step][0]:
            return record.flow
        if record.flow.head.status.terminal or step.state == "done":
            raise FencedError
        now = self._now_ms()
        record.put(replace(step, state="done", finished_ms=now, lease_ms=0))
        record.flow = replace(record.flow, results=record.flow.results | {claim.step: result})
        self._write(record, claim, seq, write, bump=True)
        self._due[claim.tenant, claim.flow] = now
        return record.flow

    def _held(self, record: _Record, claim: Claim) -> Step:
        step = record.step(claim.step)
        if step is None or step.epoch != claim.epoch:
            raise FencedError
        return step

    def _write(self, record: _Record, claim: Claim, seq: int, write: Write, *, bump: bool) -> int:
        if write.usage is not None:
            record.flow = replace(record.flow, usage=record.flow.usage + write.usage)
        number = record.append(write.events, bump=bump)
        record.writes[claim.step] = (seq, number)
        return number

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
        record = self._record(tenant, flow)
        status, epoch = record.flow.head.status, record.flow.status_epoch
        if epoch == status_epoch + 1 and status is to:
            return
        if epoch != status_epoch or status.terminal:
            raise FencedError
        record.flow = replace(record.flow, status_epoch=epoch + 1, output=output, error=error)
        record.set_status(to)
        record.append(events, bump=True)
        if to.terminal:
            del self._due[tenant, flow]

    async def take(self, tenant: str, limit: int, back_off_ms: int) -> list[str]:
        now = self._now_ms()
        due = sorted((at, f) for (owner, f), at in self._due.items() if owner == tenant)
        flows = [flow for at, flow in due if at <= now][:limit]
        for flow in flows:
            self._due[tenant, flow] = now + back_off_ms
        return flows

    async def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _ in self._due})

    # Wake

    async def wake(self, tenant: str, flow: str) -> None:
        """Make a live flow due at once."""
        if (tenant, flow) in self._due:
            self._due[tenant, flow] = min(self._due[tenant, flow], self._now_ms())


def _message_end(message: str | None) -> list[Event]:
    return events.text_end(message) if message else []


def _changes(path: str, before: Any, after: Any) -> Iterator[Event]:
    """Yield the JSON Patch operations (RFC 6902) that lead from one public state to the next."""
    for name in after:
        if name == "steps":
            for at, (old, new) in enumerate(zip(before[name], after[name], strict=True)):
                yield from _changes(f"/steps/{at}", old, new)
        elif before[name] != after[name]:
            yield {"op": "replace", "path": f"{path}/{name}", "value": after[name]}


class _Queued:
    """Batches from a queue; a wait may be cancelled without losing one."""

    def __init__(self, queue: asyncio.Queue[Batch]) -> None:
        self._queue = queue

    def __aiter__(self) -> "_Queued":
        return self

    async def __anext__(self) -> Batch:
        return await self._queue.get()


class MemoryBlobs:
    """BlobStore in memory."""

    def __init__(self) -> None:
        self._blobs: dict[tuple[str, str], bytes] = {}

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        del content_type
        self._blobs[tenant, blob] = data

    def open(self, tenant: str, blob: str) -> BinaryIO:
        if (tenant, blob) not in self._blobs:
            raise NotFoundError(f"no input {blob}")
        return io.BytesIO(self._blobs[tenant, blob])

    def size(self, tenant: str, blob: str) -> int:
        with self.open(tenant, blob) as stream:
            return len(stream.read())

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        return f"memory:///{tenant}/{blob}?size={size}&ttl={ttl_seconds}"
