"""Feedback as it is kept, in Redis first and then in segments, and the port of the first.

Each task of a tenant has a log of feedback, numbered 1, 2, 3 and never again: a model knows all up to
its position, and a process reads what came after, in one command, beside each answer. Numbers that
are missing in what it reads were moved to a segment, or taken away: then it looks at the pointer.

What is to be forgotten is known by the number up to which it is: what its subject says later stays.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, Protocol

from core.json_text import compact, compact_bytes
from core.learning import checks
from core.learning.context import leaves
from core.learning.patterns import Kind, Pattern, Source

MOST_WAITING = 20_000  # feedback of a task that is in no segment yet; more is refused for a while
MOST_WAITING_BYTES = 64 << 20  # of a tenant
MOST_TASKS = 1_000  # of a tenant, of which any feedback is in no segment yet
MOST_LISTED = 10_000  # tasks of a tenant in all
TOO_MUCH = "too much feedback waits to be learnt: send it again later"
TOO_MANY_TASKS = (
    "this would be one task too many: what was learnt of another is to be forgotten first"
)
TASK = re.compile(r"[A-Za-z0-9_-]{1,100}")
DIGEST_DIGITS = 12  # hex
Fate = Literal["new", "known", "conflict"]  # of a feedback; only one that is new is kept


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody said: in this context, this action was right, or (`right` false) wrong.

    Its `id` is its sender's, of whom each counts once (`whose`). `subject` is who said it; of what a crew's
    agents decided that is the crew, and `launched_by` whose flow it was.
    """

    id: str
    context: Mapping[str, Any]
    action: str
    subject: str
    right: bool = True
    kind: Kind = Kind.USER
    confidence: float = 1.0
    at_ms: int = 0
    launched_by: str = ""

    @property
    def whose(self) -> str:
        """The subject among whose ids its own is, and with whom it is forgotten."""
        return self.launched_by or self.subject

    @property
    def pattern(self) -> Pattern:
        """What a learner takes. Raises InvalidInputError for what cannot be kept."""
        source = Source(self.kind, self.subject)
        return Pattern(self.context, self.action, source, self.confidence, self.at_ms / 1000)

    def check(self) -> None:
        """Raise InvalidInputError for what cannot be kept."""
        leaves(self.context)
        _ = self.pattern

    def digest(self) -> str:
        """Return what tells two of one id apart; when it was said may be when it came, so that is not of it."""
        said = self.plain() | {"id": "", "at_ms": 0}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; the context is shared, since a copy takes longer than all else."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def to_json(self) -> str:
        """Return it as one line."""
        return compact(self.plain())


@dataclass(frozen=True, slots=True)
class Entry:
    """A feedback under its number; None: something was taken away here."""

    number: int
    feedback: Feedback | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A task that somebody retrains, and until when nobody else does (ms since 1970)."""

    tenant: str
    task: str
    until_ms: int


class Room(NamedTuple):
    """How much may wait to be learnt: entries of a task, bytes and tasks of a tenant; and its tasks in all."""

    entries: int
    bytes: int
    tasks: int
    listed: int


def room_for(given: Iterable[Feedback]) -> Room:
    """Return how much there may be with this feedback.

    What agents say alone may fill half: where nobody retrains, and where each flow brings a task of its
    own, people are still heard.
    """
    share = 2 if all(one.kind is Kind.AGENT for one in given) else 1
    most = (MOST_WAITING, MOST_WAITING_BYTES, MOST_TASKS, MOST_LISTED)
    return Room(*(one // share for one in most))


class FeedbackLog(Protocol):
    """Port: the feedback of tasks that is in no segment yet. Methods raise UnavailableError."""

    async def add(self, tenant: str, task: str, given: Sequence[Feedback]) -> list[Fate]:
        """Append feedback of one task; return what became of each, in their order.

        An id that the same subject (`Feedback.whose`) has given before is `known`, or a `conflict` where
        it said something else then: neither is appended. It is remembered for 32 days at least, or until what the
        subject said, or the task, is forgotten. Raises ConflictError where there would be more than there is
        room for (`room_for`): nothing is appended then.
        """
        ...

    async def add_all(self, tenant: str, given: Sequence[tuple[str, Feedback]]) -> list[Fate]:
        """Append feedback, each with its task, as `add` does: all of it, or none."""
        ...

    async def after(self, tenant: str, task: str, number: int, limit: int) -> list[Entry]:
        """Return at most `limit` entries after a number: one command."""
        ...

    async def trim(self, tenant: str, task: str, through: int) -> None:
        """Remove what is in a segment now: all up to a number. A lease of the task stays as it is."""
        ...

    async def forget(self, tenant: str, task: str, subject: str | None) -> None:
        """Remove a subject's feedback (None: everybody's) and ids, and write down that it is to be forgotten.

        A subject's is also what the subject's flows decided (`Feedback.whose`). What is said later stays.
        The task is due at once; where it is leased, when its lease is released or over.
        """
        ...

    async def to_forget(self, tenant: str, task: str) -> dict[str, int]:
        """Return whom segments and models are to forget, and up to which number: subject -> number."""
        ...

    async def forgotten(self, tenant: str, task: str, subjects: Mapping[str, int]) -> None:
        """Take subjects off that list who are forgotten up to these numbers, and tell all readers.

        Who was to be forgotten anew since stays on it.
        """
        ...

    async def floor(self, tenant: str, task: str) -> int:
        """Return the highest sequence that a pointer of this task has had."""
        ...

    async def raise_floor(self, tenant: str, task: str, sequence: int) -> None:
        """Write down that a pointer has had this sequence."""
        ...

    async def tasks(self, tenant: str) -> list[str]:
        """Return the tasks of which anything is kept, here or in segments."""
        ...

    async def unlist(self, tenant: str, task: str) -> None:
        """Take a task off that list which was forgotten whole, here and in segments: its place is free.

        Nothing is changed if something was said of it since.
        """
        ...

    async def waiting(self, tenant: str, task: str) -> int:
        """Return how many entries of a task wait here, what was taken away and is only noted included."""
        ...

    async def lease(self, lease_ms: int, delay_ms: int) -> Lease | None:
        """Return a task that has had new feedback for `delay_ms`, and is nobody else's now.

        All callers name the same delay. Tenants take turns of one task each, however many tasks they have. Until it is released, it is had by
        the next one when the lease is over.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give back a task whose retraining has come to its end: what came since is due next.

        Nothing is changed if it is somebody else's by now.
        """
        ...


def feedback_of(value: Any) -> Feedback:
    """Return the feedback of an object as `to_json` makes it, of a later version too. Raises ValueError."""
    given = checks.by_text(value)
    found: dict[str, Any] = {name: given[name] for name in Feedback.__slots__ if name in given}
    usual = {"kind": Kind.USER, "confidence": 1.0, "at_ms": 0, "right": True, "launched_by": ""}
    found = usual | found
    for name in ("id", "action", "subject", "kind", "launched_by"):
        checks.text(found.get(name))
    checks.by_text(found.get("context"))
    checks.numbers([found["confidence"]])
    checks.whole(found["at_ms"])
    checks.need(type(found["right"]) is bool)
    found["kind"] = Kind(found["kind"])
    return Feedback(**found)


def lines(entries: Iterable[Entry]) -> bytes:
    """Return entries as a segment has them, one a line; what was taken away is left out."""
    rows = (compact_bytes([one.number, one.feedback.plain()]) for one in entries if one.feedback)
    return b"".join(row + b"\n" for row in rows)


def entries_of(data: bytes) -> Iterator[Entry]:
    """Yield the entries of a segment. Raises ValueError."""
    for line in data.splitlines():
        number, feedback = json.loads(line)
        yield Entry(checks.whole(number), feedback_of(feedback))
