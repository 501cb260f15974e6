"""One flow in memory: its state, its log, who listens, who wrote last, and its calls under way."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from core.adapters.memory.due import Plan
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import ExpiredError, FencedError
from core.flows import Batch, Entry, Flow, Status, Step, events
from core.flows.events import Event
from core.json_text import compact

KEPT = 10_000  # events of a log


@dataclass(slots=True)
class Record:
    """A flow as the store keeps it; nothing here knows of tenants or of other flows."""

    flow: Flow
    digest: str
    order: int
    published: dict[str, Any]
    plan: Plan
    log: list[Entry] = field(default_factory=list[Entry])
    subscribers: list[asyncio.Queue[Batch]] = field(default_factory=list[asyncio.Queue[Batch]])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    messages: dict[str, str | None] = field(default_factory=dict[str, str | None])
    writes: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])  # reserved, not yet counted
    lost: dict[str, tuple[Call, Usage, int]] = field(
        default_factory=dict[str, tuple[Call, Usage, int]]
    )  # counted at their bounds, and when
    numbers: dict[str, set[int]] = field(default_factory=dict[str, set[int]])  # of calls, ever
    alerts: list[Event] = field(default_factory=list[Event])  # to be told with the next change
    outcomes: dict[tuple[str, str], float | None] = field(
        default_factory=dict[tuple[str, str], float | None]
    )  # of tasks in trials, by signal and task; None: counted
    journals: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    moved_by: str = ""  # the identity of the last transition
    failures: int = 0  # outside of steps, since the last commit

    @property
    def ended(self) -> bool:
        return self.flow.head.status.terminal

    @property
    def waits(self) -> bool:
        return self.flow.head.status is Status.WAITING

    def next_look(self, now: int) -> int:
        """Return when somebody must look at the flow (ms).

        Of one that waits no step needs a look, but for those whose calls hold money that others may want.
        """
        holding = {call.step for call in self.calls.values()}
        waited = holding if self.flow.waits_for_money else set[str]()
        steps = waited if self.waits else self.plan.leases.keys()
        return self.plan.next_look(now, steps=steps, deadline=self.flow.deadline_ms)

    def append(self, new: list[Event]) -> int:
        """Number the events, tell the subscribers; return the last number."""
        head = self.flow.head
        batch = [Entry(head.last_event + i, e["type"], compact(e)) for i, e in enumerate(new, 1)]
        self.log = (self.log + batch)[-KEPT:]
        head = replace(head, last_event=head.last_event + len(new))
        self.flow = replace(self.flow, head=head)
        for subscriber in self.subscribers if batch else ():
            subscriber.put_nowait(batch)
        return head.last_event

    def change(self, new: list[Event], now_ms: int) -> int:
        """Bump the version; append what has changed since the last time, then the events."""
        head = replace(self.flow.head, version=self.flow.head.version + 1)
        self.flow = replace(self.flow, head=head, updated_ms=now_ms)
        before, self.published = self.published, self.flow.public()
        delta = {"type": "STATE_DELTA", "delta": list(_changes("", before, self.published))}
        alerts, self.alerts = self.alerts, []
        return self.append([delta, *alerts, *new])

    def brought(self, result: str, number: int) -> None:
        """Keep the number of the event that brought a result."""
        self.flow = replace(self.flow, brought=self.flow.brought | {result: number})

    def correct(self, new: Usage, now_ms: int) -> None:
        """Add to the usage. An ended flow gets a new version for it, and no event."""
        self.use(new)
        if not self.ended:
            self.change([], now_ms)
            return
        head = replace(self.flow.head, version=self.flow.head.version + 1)
        self.flow = replace(self.flow, head=head)

    def step(self, step: str) -> Step | None:
        return next((s for s in self.flow.steps if s.id == step), None)

    def held(self, step: str, epoch: int) -> Step:
        """Return the step if this is still its epoch. Raises FencedError."""
        known = self.step(step)
        if known is None or known.epoch != epoch:
            raise FencedError
        return known

    def check_time(self, now_ms: int) -> None:
        """Raise ExpiredError if the flow's time is over."""
        if self.flow.deadline_ms is not None and now_ms >= self.flow.deadline_ms:
            raise ExpiredError

    def put(self, step: Step) -> None:
        steps = tuple(step if known.id == step.id else known for known in self.flow.steps)
        self.flow = replace(self.flow, steps=steps)

    def end_steps(self, now_ms: int) -> None:
        """End what runs, what is waited for, and the messages that are open."""
        state = "failed" if self.flow.head.status is Status.FAILED else "cancelled"
        self.journals.clear()
        for step in self.flow.steps:
            if message := self.messages.pop(step.id, None):
                self.append(events.text_end(message))
            if step.state == "running":
                self.put(replace(step, state=state, lease_ms=0, finished_ms=now_ms))
            elif step.deferred is not None:
                self.put(replace(step, deferred=None))

    def set_status(self, status: Status) -> None:
        self.flow = replace(self.flow, head=replace(self.flow.head, status=status))

    def use(self, usage: Usage) -> None:
        self.flow = replace(self.flow, usage=self.flow.usage + usage)

    def lose(self, step: str | None = None) -> list[Call]:
        """Take the calls under way of a step, or all, out of the book."""
        lost = [call for call in self.calls.values() if step in (None, call.step)]
        self.calls = {name: call for name, call in self.calls.items() if call not in lost}
        return lost


def _changes(path: str, before: Any, after: Any) -> Iterator[Event]:
    """Yield the JSON Patch operations (RFC 6902) that lead from one public state to the next."""
    for name in after:
        if name == "steps":
            yield from _of_steps(before[name], after[name])
        elif name not in before:
            yield {"op": "add", "path": f"{path}/{name}", "value": after[name]}
        elif before[name] != after[name]:
            yield {"op": "replace", "path": f"{path}/{name}", "value": after[name]}


def _of_steps(before: list[Any], after: list[Any]) -> Iterator[Event]:
    for at, (old, new) in enumerate(zip(before, after, strict=False)):  # new ones come last
        yield from _changes(f"/steps/{at}", old, new)
    for step in after[len(before) :]:
        yield {"op": "add", "path": "/steps/-", "value": step}
