"""FeedbackLog in memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from core.errors import ConflictError
from core.learning.feedback import (
    TOO_MANY_TASKS,
    TOO_MUCH,
    Entry,
    Fate,
    Feedback,
    Lease,
    room_for,
)

Key = tuple[str, str]
Id = tuple[str, str]  # whose it is, and its name


class _Place(Enum):
    """Of a task of which anything is kept: some of it here, all in segments, or its objects are being removed."""

    WAITS = auto()
    STORED = auto()
    GOING = auto()


@dataclass(slots=True)
class _Task:
    """The log of one task; `due_ms`: since when it has something to learn, or until when it is leased."""

    entries: list[Entry] = field(default_factory=list[Entry])
    digests: dict[Id, str] = field(default_factory=dict[Id, str])
    last: int = 0
    floor: int = 0
    to_forget: dict[str, int] = field(default_factory=dict[str, int])
    due_ms: int | None = None
    place: "_Place | None" = None

    def append(self, feedback: Feedback | None) -> None:
        self.last += 1
        self.entries.append(Entry(self.last, feedback))


class MemoryFeedbackLog:
    """FeedbackLog of one process."""

    def __init__(self, now_ms: Callable[[], float] = lambda: time.time() * 1000) -> None:
        self._tasks: dict[Key, _Task] = {}
        self._served: list[str] = []  # tenants, the one whose turn was last at the end
        self._now_ms: Callable[[], int] = lambda: int(now_ms())

    async def add(self, tenant: str, task: str, given: Sequence[Feedback]) -> list[Fate]:
        return await self.add_all(tenant, [(task, one) for one in given])

    async def add_all(self, tenant: str, given: Sequence[tuple[str, Feedback]]) -> list[Fate]:
        """Append what is new."""
        fates, new = list[Fate](), dict[str, dict[Id, Feedback]]()
        by_task: dict[str, list[Feedback]] = {}
        for task, one in given:
            name, some = (one.whose, one.id), new.setdefault(task, {})
            first = some.get(name)
            known = first.digest() if first else self._there(tenant, task).digests.get(name)
            if known is None:
                some[name] = one
            fates.append("new" if known is None else _again(known, one))
            by_task.setdefault(task, []).append(one)
        self._require_room(tenant, by_task, {task: [*some.values()] for task, some in new.items()})
        for task, feedback in ((task, one) for task, some in new.items() for one in some.values()):
            there = self._task(tenant, task)
            there.append(feedback)
            there.digests[feedback.whose, feedback.id] = feedback.digest()
            there.place = _Place.WAITS
            there.due_ms = self._now_ms() if there.due_ms is None else there.due_ms
        return fates

    async def after(self, tenant: str, task: str, number: int, limit: int) -> list[Entry]:
        return [one for one in self._task(tenant, task).entries if one.number > number][:limit]

    async def trim(self, tenant: str, task: str, through: int) -> None:
        there = self._task(tenant, task)
        there.entries = [one for one in there.entries if one.number > through]
        if not there.entries and there.place is _Place.WAITS:
            there.place = _Place.STORED

    async def forget(self, tenant: str, task: str, subject: str | None) -> None:
        there = self._task(tenant, task)
        there.entries = [
            one
            for one in there.entries
            if one.feedback and subject is not None and one.feedback.whose != subject
        ]
        there.append(None)
        there.digests = {
            name: digest
            for name, digest in there.digests.items()
            if subject is not None and name[0] != subject
        }
        if subject is None:
            there.place = there.place and _Place.GOING
        else:
            there.to_forget[subject] = there.last
            if there.due_ms is None or there.due_ms <= self._now_ms():  # nobody retrains it
                there.due_ms = 0

    async def to_forget(self, tenant: str, task: str) -> dict[str, int]:
        return dict(self._task(tenant, task).to_forget)

    async def forgotten(self, tenant: str, task: str, subjects: Mapping[str, int]) -> None:
        there = self._task(tenant, task)
        for subject, number in subjects.items():
            if there.to_forget.get(subject, number + 1) <= number:
                del there.to_forget[subject]
        there.append(None)

    async def floor(self, tenant: str, task: str) -> int:
        return self._task(tenant, task).floor

    async def raise_floor(self, tenant: str, task: str, sequence: int) -> None:
        there = self._task(tenant, task)
        there.floor = max(there.floor, sequence)

    async def tasks(self, tenant: str) -> list[str]:
        return sorted(
            task for (owner, task), there in self._tasks.items() if owner == tenant and there.place
        )

    async def unlist(self, tenant: str, task: str) -> None:
        there = self._task(tenant, task)
        if there.place is _Place.GOING:
            there.place = None

    async def waiting(self, tenant: str, task: str) -> int:
        return len(self._task(tenant, task).entries)

    async def lease(self, lease_ms: int, delay_ms: int) -> Lease | None:
        now = self._now_ms()
        due = [
            (self._turn(tenant), there.due_ms, tenant, task)
            for (tenant, task), there in self._tasks.items()
            if there.due_ms is not None and there.due_ms + delay_ms <= now
        ]
        if not due:
            return None
        *_, tenant, task = min(due)
        self._served = [other for other in self._served if other != tenant] + [tenant]
        until_ms = self._task(tenant, task).due_ms = now + lease_ms - delay_ms
        return Lease(tenant, task, until_ms)

    def _turn(self, tenant: str) -> int:
        return self._served.index(tenant) if tenant in self._served else -1

    async def release(self, lease: Lease) -> None:
        there = self._task(lease.tenant, lease.task)
        if there.due_ms == lease.until_ms:
            there.due_ms = self._now_ms() if there.entries else None
            there.due_ms = 0 if there.to_forget else there.due_ms

    def _require_room(
        self,
        tenant: str,
        given: Mapping[str, Sequence[Feedback]],
        new: Mapping[str, Sequence[Feedback]],
    ) -> None:
        """Raise ConflictError unless there is room for all that is new."""
        size = self._waiting_bytes(tenant)
        places = [one.place for (owner, _), one in self._tasks.items() if owner == tenant]
        waits, listed = places.count(_Place.WAITS), len(places) - places.count(None)
        for task, some in new.items():
            if not some:
                continue
            there, room = self._there(tenant, task), room_for(given[task])
            size += sum(map(_size, some))
            if len(there.entries) + len(some) > room.entries or size > room.bytes:
                raise ConflictError(f"{TOO_MUCH} (task {task})")
            if there.place is not _Place.WAITS and waits >= room.tasks:
                raise ConflictError(f"{TOO_MUCH} (task {task})")
            if not there.place and listed >= room.listed:
                raise ConflictError(TOO_MANY_TASKS)
            waits += there.place is not _Place.WAITS
            listed += not there.place

    def _there(self, tenant: str, task: str) -> _Task:
        """Return a task's log to read; an empty one where there is none."""
        return self._tasks.get((tenant, task)) or _Task()

    def _waiting_bytes(self, tenant: str) -> int:
        logs = (there.entries for (owner, _), there in self._tasks.items() if owner == tenant)
        return sum(_size(one.feedback) for log in logs for one in log if one.feedback)

    def _task(self, tenant: str, task: str) -> _Task:
        return self._tasks.setdefault((tenant, task), _Task())


def _again(digest: str, feedback: Feedback) -> Fate:
    """Return the fate of a feedback of an id that was there before."""
    return "known" if digest == feedback.digest() else "conflict"


def _size(feedback: Feedback) -> int:
    return len(feedback.to_json().encode()) + len(feedback.whose)
