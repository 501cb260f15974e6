"""FeedbackLog over Redis: a stream a task, read by one XRANGE, and an index of tasks with new feedback.

keys.py names the keys. An entry's id is `<its number>-0`; its fields are `s` (whose it is), `f` (the
feedback as JSON), or `x` where something was taken away.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core import time_of_day
from core.adapters.upstash import scripts
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.script_keys import FeedbackKeys
from core.errors import ConflictError
from core.learning.feedback import (
    TOO_MANY_TASKS,
    TOO_MUCH,
    Entry,
    Feedback,
    Lease,
    feedback_of,
    room_for,
)

ID_DIGITS = 20  # hex, of an id's hash
READ_AT_ONCE = 500


class UpstashFeedbackLog:
    """The feedback of tasks that is in no segment yet."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
        now_ms: Callable[[], int] = time_of_day.now_ms,
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._scripts = runner or ScriptRunner(redis)
        self._now_ms = now_ms

    async def add(self, tenant: str, task: str, given: Sequence[Feedback]) -> set[str]:
        """Append what is new."""
        return {there for _, there in await self.add_all(tenant, {task: given})}

    async def add_all(
        self, tenant: str, given: Mapping[str, Sequence[Feedback]]
    ) -> set[tuple[str, str]]:
        """Append what is new, by one script."""
        by_hash = {task: {_hash(one.id): one for one in some} for task, some in given.items()}
        now_ms, of = self._now_ms(), self._of(tenant, "")
        logs = (
            (self._keys.feedback(tenant, task), *self._keys.feedback_ids(tenant, task, now_ms))
            for task in given
        )
        call = scripts.add_feedback(
            of.tasks,
            of.listed,
            of.learning,
            [key for log in logs for key in log],
            tenant=tenant,
            batch=[_batch(task, some) for task, some in by_hash.items()],
            texts=[one.to_json() for some in by_hash.values() for one in some.values()],
        )
        match await self._scripts.run(call, "the feedback"):
            case ["too_much", task]:
                raise ConflictError(f"{TOO_MUCH} (task {task})")
            case ["too_many_tasks"]:
                raise ConflictError(TOO_MANY_TASKS)
            case [_, *known]:
                pairs = zip(known[::2], known[1::2], strict=True)
                return {(task, by_hash[task][hashed].id) for task, hashed in pairs}
            case other:
                raise AssertionError(other)

    async def after(self, tenant: str, task: str, number: int, limit: int) -> list[Entry]:
        """Return entries after a number: one XRANGE."""
        key = self._keys.feedback(tenant, task)
        command = ["XRANGE", key, f"({number}-0", "+", "COUNT", limit]
        reply: list[tuple[str, list[str]]] = await self._redis.execute(command)
        return [_entry(at, fields) for at, fields in reply]

    async def trim(self, tenant: str, task: str, through: int) -> None:
        """Remove what is in a segment now."""
        await self._scripts.run(scripts.trim_feedback(self._of(tenant, task), through=through))

    async def forget(self, tenant: str, task: str, subject: str | None) -> None:
        """Remove a subject's feedback, or everybody's."""
        await self._scripts.run(
            scripts.forget_feedback(self._of(tenant, task), subject=subject, at_once=READ_AT_ONCE)
        )

    async def to_forget(self, tenant: str, task: str) -> set[str]:
        """Return the subjects that segments and models are to forget."""
        key = self._of(tenant, task).forgotten
        return set(await self._redis.execute(["ZRANGE", key, 0, -1]))

    async def forgotten(self, tenant: str, task: str, subjects: Iterable[str]) -> None:
        """Take subjects off that list, and tell readers."""
        call = scripts.feedback_forgotten(self._of(tenant, task), subjects=list(subjects))
        await self._scripts.run(call)

    async def floor(self, tenant: str, task: str) -> int:
        """Return the highest sequence of a task's pointers."""
        found = await self._redis.execute(["ZSCORE", self._keys.pointers(tenant), task])
        return 0 if found is None else int(float(found))

    async def raise_floor(self, tenant: str, task: str, sequence: int) -> None:
        """Raise it; a lower one changes nothing."""
        await self._redis.execute(["ZADD", self._keys.pointers(tenant), "GT", sequence, task])

    async def tasks(self, tenant: str) -> list[str]:
        """Return the tasks of a tenant."""
        return sorted(
            await self._redis.execute(["ZRANGE", self._keys.learning_tasks(tenant), 0, -1])
        )

    async def unlist(self, tenant: str, task: str) -> None:
        """Take a task off the list, unless something was said of it since."""
        await self._scripts.run(scripts.unlist_feedback(self._of(tenant, task)))

    async def waiting(self, tenant: str, task: str) -> int:
        """Return the length of a task's stream."""
        return int(await self._redis.execute(["XLEN", self._keys.feedback(tenant, task)]))

    async def lease(self, lease_ms: int, delay_ms: int) -> Lease | None:
        """Return a task with feedback to learn, of the first partition that has one."""
        for tag in self._keys.all_tags():
            call = scripts.lease_feedback(
                self._keys.learning_index(tag), lease_ms=lease_ms, delay_ms=delay_ms
            )
            if found := await self._scripts.run(call):
                member, until_ms = found
                tenant, _, task = member.partition(" ")
                return Lease(tenant, task, int(until_ms))
        return None

    async def release(self, lease: Lease) -> None:
        """Give a task back, unless somebody else has it by now."""
        of = self._of(lease.tenant, lease.task)
        await self._scripts.run(scripts.release_feedback(of, until_ms=lease.until_ms))

    def _of(self, tenant: str, task: str) -> FeedbackKeys:
        return self._keys.feedback_keys(tenant, task)


def _batch(task: str, by_hash: Mapping[str, Feedback]) -> dict[str, Any]:
    """Return what the script is told of the feedback of a task, beside its text."""
    room = room_for(by_hash.values())
    return {
        "task": task,
        "ids": list(by_hash),
        "subjects": [one.whose for one in by_hash.values()],
        "most": room.entries,
        "most_bytes": room.bytes,
        "most_tasks": room.tasks,
        "most_listed": room.listed,
    }


def _entry(at: str, fields: list[str]) -> Entry:
    found = as_dict(fields)
    feedback = feedback_of(json.loads(found["f"])) if "f" in found else None
    return Entry(int(at.partition("-")[0]), feedback)


def _hash(feedback_id: str) -> str:
    return hashlib.sha256(feedback_id.encode()).hexdigest()[:ID_DIGITS]
