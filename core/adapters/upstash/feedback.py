"""FeedbackLog over Redis: a stream a task, read by one XRANGE; what is to be retrained is leased as flows are.

keys.py names the keys. An entry's id is `<its number>-0`; its fields are `s` (whose it is), `f` (the
feedback as JSON), or `x` where something was taken away.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from core import cpu, time_of_day
from core.adapters.upstash import script_keys
from core.adapters.upstash.calls import ScriptCall, ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.due import MOST_TENANTS, DueIndex, DueKind, member_scores
from core.adapters.upstash.ids import hashed
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.script_keys import FeedbackKeys, Turn
from core.adapters.upstash.scripts import feedback as scripts
from core.errors import ConflictError
from core.learning.feedback import (
    TOO_MANY_TASKS,
    TOO_MUCH,
    Entry,
    Fate,
    Feedback,
    Lease,
    feedback_of,
    room_for,
)

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

    async def add(self, tenant: str, task: str, given: Sequence[Feedback]) -> list[Fate]:
        """Append what is new."""
        return await self.add_all(tenant, [(task, one) for one in given])

    async def add_all(self, tenant: str, given: Sequence[tuple[str, Feedback]]) -> list[Fate]:
        """Append what is new, by one script, which gets the feedback task by task."""
        by_task: dict[str, list[int]] = {}
        for at, (task, _) in enumerate(given):
            by_task.setdefault(task, []).append(at)
        batches = {task: [given[at][1] for at in places] for task, places in by_task.items()}
        of, now_ms = self._of(tenant, ""), self._now_ms()
        keys = [key for each in batches.items() for key in self._keys_of(tenant, *each, now_ms)]
        batch, texts = await cpu.run(tenant, _prepared, batches)
        call = scripts.add_feedback(
            of.tasks,
            of.listed,
            of.learning,
            of.learning_index,
            keys,
            tenant=tenant,
            batch=batch,
            both=script_keys.is_new_period(now_ms),
            texts=texts,
        )
        match await self._scripts.run(call, "the feedback"):
            case ["too_much", task]:
                raise ConflictError(f"{TOO_MUCH} (task {task})")
            case ["too_many_tasks"]:
                raise ConflictError(TOO_MANY_TASKS)
            case [_, *fates]:
                places = [at for some in by_task.values() for at in some]
                return [fate for _, fate in sorted(zip(places, fates, strict=True))]
            case other:
                raise AssertionError(other)

    def _keys_of(
        self, tenant: str, task: str, given: Sequence[Feedback], now_ms: int
    ) -> Iterator[str]:
        """Yield the log of a task and, of each subject of some feedback, its ids."""
        yield self._keys.feedback(tenant, task)
        for subject in _subjects(given):
            yield from script_keys.feedback_ids(self._keys, tenant, task, subject, now_ms)

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
        """Remove a subject's feedback and ids, or everybody's."""
        ids = (
            () if subject is None
            else script_keys.feedback_ids(self._keys, tenant, task, subject, self._now_ms())
        )  # fmt: skip
        of = self._of(tenant, task)
        call = scripts.forget_feedback(of, ids, subject=subject, at_once=READ_AT_ONCE)
        await self._scripts.run(call)

    async def to_forget(self, tenant: str, task: str) -> dict[str, int]:
        """Return the subjects that segments and models are to forget."""
        key = self._of(tenant, task).forgotten
        found = await self._redis.execute(["ZRANGE", key, 0, -1, "WITHSCORES"])
        return {subject: int(number) for subject, number in member_scores(found)}

    async def forgotten(self, tenant: str, task: str, subjects: Mapping[str, int]) -> None:
        """Take subjects off that list, and tell readers."""
        call = scripts.feedback_forgotten(self._of(tenant, task), subjects=[*subjects.items()])
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
        """Return a task with feedback to learn, of the tenant whose turn it is."""

        def lease(turn: Turn) -> ScriptCall:
            return scripts.lease_feedback(turn, delay_ms=delay_ms)

        kind = DueKind(self._keys.learning_index, self._keys_due, lease, _leases)
        index = DueIndex(self._redis, self._scripts, self._keys, kind)
        due = await index.lease(1, 1, lease_ms, MOST_TENANTS)
        return next((Lease(tenant, *of) for tenant, of in due.items), None)

    def _keys_due(self, tenant: str) -> tuple[str, ...]:
        return (self._keys.learning(tenant),)

    async def release(self, lease: Lease) -> None:
        """Give a task back, unless somebody else has it by now."""
        of = self._of(lease.tenant, lease.task)
        await self._scripts.run(scripts.release_feedback(of, until_ms=lease.until_ms))

    def _of(self, tenant: str, task: str) -> FeedbackKeys:
        return FeedbackKeys.of(self._keys, tenant, task)


def _leases(texts: list[str]) -> list[tuple[str, tuple[str, int]]]:
    """Return of each task that was leased its tenant, its name, and until when."""
    rows = zip(texts[::3], texts[1::3], texts[2::3], strict=True)
    return [(tenant, (task, int(until_ms))) for tenant, task, until_ms in rows]


def _subjects(given: Iterable[Feedback]) -> list[str]:
    """Return whose feedback it is, each once."""
    return list(dict.fromkeys(one.whose for one in given))


def _prepared(batches: Mapping[str, Sequence[Feedback]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what the script is told of the feedback of each task, and the text of each."""
    texts = [one.to_json() for given in batches.values() for one in given]
    return [_batch(task, given) for task, given in batches.items()], texts


def _batch(task: str, given: Sequence[Feedback]) -> dict[str, Any]:
    """Return what the script is told of the feedback of a task, beside its text."""
    room, subjects = room_for(given), _subjects(given)
    places = {subject: place for place, subject in enumerate(subjects, 1)}
    return {
        "task": task,
        "subjects": subjects,
        "items": [(places[one.whose], hashed(one.id), one.digest()) for one in given],
        "most": room.entries,
        "most_bytes": room.bytes,
        "most_tasks": room.tasks,
        "most_listed": room.listed,
    }


def _entry(at: str, fields: list[str]) -> Entry:
    found = as_dict(fields)
    feedback = feedback_of(json.loads(found["f"])) if "f" in found else None
    return Entry(int(at.partition("-")[0]), feedback)
