"""Retraining: feedback leaves Redis for segments, a model is made of all that is kept, tried, and published.

Each step ends in one write of the pointer, by compare-and-set, and the steps before it change nothing
that anybody reads: so it may be killed anywhere and be begun anew, and of two that run at once one
publishes and the other gives up. Feedback is removed from Redis once the pointer names its segment.

What there is no time to learn is the oldest of it, and the version says how much that is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.errors import ConflictError, NotFoundError, TooLargeError
from core.learning import changes, evaluation
from core.learning.feedback import Entry, FeedbackLog, entries_of, lines
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models.model_store import (
    SEGMENT_BYTES,
    ModelStore,
    StoredPointer,
    UntrustedError,
)
from core.learning.models.pointer import (
    KEPT_VERSIONS,
    MOST_EVALUATIONS,
    MOST_SEGMENTS,
    Evaluation,
    Pointer,
    Segment,
    Version,
)
from core.learning.replay import learn
from core.learning.time_limit import TimeLimit

log = logging.getLogger(__name__)

READ = 500  # entries of one command
SMALL_BYTES = 1 << 20  # a segment below this is written again with what is new
JUDGED = 2_000  # the newest feedback, on which a candidate is tried: a third of all at most
MOST_LEARNT, MOST_BYTES = (
    250_000,
    256 << 20,
)  # feedback that is looked at; it takes five times the bytes
SHARE = 0.7  # of the time that is left, for learning; the index and the store have the rest
OVERTAKEN = "overtaken"  # the pointer was somebody else's: what is new may be unlearnt still

Fit = Callable[
    [Learner, int], Model
]  # the model of a learner that began with nothing, of a version


@dataclass(frozen=True, slots=True)
class Retrainer:
    """Makes models. `fit` adds the index to what a learner knows; `seconds_left` is of the host."""

    store: ModelStore
    log: FeedbackLog
    fit: Fit
    seconds_left: Callable[[], float]
    now_ms: Callable[[], int]

    async def retrain(self, tenant: str, task: str) -> str:
        """Retrain a task; return what came of it: published, refused, nothing new, or overtaken.

        Raises UnavailableError, and UntrustedError where what is stored is refused.
        """
        found = await changes.current(self.store, self.log, tenant, task)
        try:
            return await self._retrain(tenant, task, found)
        except ConflictError:
            return OVERTAKEN
        except NotFoundError as error:
            there = await changes.current(self.store, self.log, tenant, task)
            if there.pointer.sequence == found.pointer.sequence:
                raise UntrustedError(f"what the pointer names is not there: {error}") from error
            return OVERTAKEN

    async def _retrain(self, tenant: str, task: str, found: StoredPointer) -> str:
        await self.store.delete(tenant, task, found.pointer.garbage)
        subjects = await self.log.to_forget(tenant, task)
        found = await self._move_to_segment(tenant, task, found)
        if subjects:
            return await self._forget(tenant, task, found, subjects)
        if found.pointer.stored <= found.pointer.position:
            return "nothing new"
        return await self._evaluate(tenant, task, found)

    async def _move_to_segment(self, tenant: str, task: str, found: StoredPointer) -> StoredPointer:
        """Write what Redis has to a segment, name it, and then remove it from Redis."""
        pointer = found.pointer
        new = await self._new_entries(tenant, task, pointer.stored)
        if any(one.feedback for one in new):
            kept, joined = pointer.segments, list[Entry]()
            if kept and kept[-1].size_bytes < SMALL_BYTES:
                joined = await self._entries(tenant, task, kept[-1:])
                kept = kept[:-1]
            written = await self._write(tenant, task, [*joined, *new], pointer.generation)
            named = (*kept, *written)[-MOST_SEGMENTS:]
            new_pointer = pointer.next(segments=named)
            found = await self._publish(tenant, task, new_pointer, found.etag)
        through = new[-1].number if new else pointer.stored  # a segment that a killed one has named
        await self.log.trim(tenant, task, through)
        return found

    async def _new_entries(self, tenant: str, task: str, after: int) -> list[Entry]:
        new = list[Entry]()
        while some := await self.log.after(tenant, task, new[-1].number if new else after, READ):
            new += some
        return new

    async def _write(
        self, tenant: str, task: str, entries: Sequence[Entry], generation: int
    ) -> list[Segment]:
        """Store entries as segments of a bounded size."""
        written = list[Segment]()
        for part in _parts(entries):
            written.append(
                await self.store.save_segment(
                    tenant, task, lines(part),
                    generation=generation, first=part[0].number, last=part[-1].number,
                )
            )  # fmt: skip
        return written

    async def _entries(self, tenant: str, task: str, segments: Sequence[Segment]) -> list[Entry]:
        """Return what segments hold. Raises UntrustedError."""
        found = list[Entry]()
        for segment in segments:
            data = await self.store.segment(tenant, task, segment)
            try:
                found += await asyncio.to_thread(list, entries_of(data))
            except ValueError as error:
                raise UntrustedError(f"segment {segment.name} is damaged") from error
        return found

    async def _evaluate(self, tenant: str, task: str, found: StoredPointer) -> str:
        """Make a candidate, evaluate it against the current model, and publish it if it is not worse."""
        pointer = found.pointer
        entries, not_read = await self._newest(tenant, task, pointer.segments)
        new = sum(one.number > pointer.position for one in entries)
        if not new:
            return "nothing new"
        judged = min(JUDGED, new, max(1, len(entries) // 3))
        earlier, newest = entries[:-judged], entries[-judged:]
        of_current = await self._score_of_current(tenant, task, pointer, earlier, newest)
        limit = self._time_limit()

        def run() -> tuple[Learner, evaluation.Score, int]:
            candidate = Learner()
            left_out = limit.learn(candidate, earlier)
            return candidate, evaluation.prequential(candidate, newest), left_out

        candidate, score, left_out = await asyncio.to_thread(run)
        of_current = of_current or score
        worse = evaluation.is_worse(score.right, of_current.right)
        version = pointer.sequence + 1
        evaluated = Evaluation(
            version, self.now_ms(), score.events, sum(score.right), sum(of_current.right),
            score.ece_ppm, score.answered, int(not worse),
        )  # fmt: skip
        history = (*pointer.evaluations, evaluated)[-MOST_EVALUATIONS:]
        if worse:
            await self._publish(tenant, task, pointer.next(evaluations=history), found.etag)
            return "refused"
        new_pointer = pointer.next(evaluations=history)
        left_out += not_read
        try:
            await self._publish_model(tenant, task, candidate, found, new_pointer, left_out)
        except TooLargeError as error:
            log.error("no model is made: %s", error, extra={"tenant": tenant, "task": task})  # noqa: TRY400 -- told
            history = (*pointer.evaluations, replace(evaluated, published=0))[-MOST_EVALUATIONS:]
            await self._publish(tenant, task, pointer.next(evaluations=history), found.etag)
            return "refused"
        return "published"

    async def _score_of_current(
        self,
        tenant: str,
        task: str,
        pointer: Pointer,
        earlier: Sequence[Entry],
        newest: Sequence[Entry],
    ) -> evaluation.Score | None:
        """Return how the current model does; None before the first, where a reader knows all there is."""
        if not pointer.version:
            return None
        current = await self._current(tenant, task, pointer)

        def run() -> evaluation.Score:
            learn(current, (one for one in earlier if one.number > pointer.position))
            return evaluation.prequential(current, newest)

        return await asyncio.to_thread(run)

    async def _newest(
        self, tenant: str, task: str, segments: Sequence[Segment]
    ) -> tuple[list[Entry], int]:
        """Return the newest feedback, in its order, and about how much older there is."""
        start, many, size = len(segments), 0, 0
        while start > 0:
            one = segments[start - 1]
            many, size = many + one.last - one.first + 1, size + one.size_bytes
            if start < len(segments) and (many > MOST_LEARNT or size > MOST_BYTES):
                break
            start -= 1
        not_read = sum(one.last - one.first + 1 for one in segments[:start])
        return await self._entries(tenant, task, segments[start:]), not_read

    async def _current(self, tenant: str, task: str, pointer: Pointer) -> Learner:
        """Return the learner of the current model; one of nothing where it cannot be had."""
        try:
            return Learner(
                await self.store.model(tenant, task, pointer.version, pointer.generation)
            )
        except (UntrustedError, NotFoundError):
            log.exception("the current model is refused", extra={"tenant": tenant, "task": task})
            return Learner()

    async def _forget(
        self, tenant: str, task: str, found: StoredPointer, subjects: set[str]
    ) -> str:
        """Write all segments anew without what subjects said, and a model of them; remove the others.

        It is published whether it is worse or not, and no earlier version stays.
        """
        pointer = found.pointer
        generation, written = pointer.sequence + 1, list[Segment]()
        for segment in pointer.segments:
            kept = [
                one
                for one in await self._entries(tenant, task, [segment])
                if one.feedback and one.feedback.whose not in subjects
            ]
            written += await self._write(tenant, task, kept, generation)
        entries, not_read = await self._newest(tenant, task, written)
        candidate, limit = Learner(), self._time_limit()
        left_out = not_read + await asyncio.to_thread(limit.learn, candidate, entries)
        new = pointer.next(generation=generation, segments=tuple(written), versions=(), version=0)
        if written:
            await self._publish_model(tenant, task, candidate, found, new, left_out)
        else:
            await self._publish(tenant, task, new, found.etag)
        await self.log.forgotten(tenant, task, subjects)
        return "forgotten"

    async def _publish_model(
        self,
        tenant: str,
        task: str,
        candidate: Learner,
        found: StoredPointer,
        new: Pointer,
        left_out: int,
    ) -> None:
        """Store a candidate's model, and then the pointer that names it as the one that answers."""
        model = await asyncio.to_thread(self.fit, candidate, new.sequence)
        made = Version(new.sequence, new.stored, self.now_ms(), len(model.kept), left_out)
        await self.store.save_model(tenant, task, model, new.generation)
        versions = (made, *new.versions)[:KEPT_VERSIONS]
        new = found.pointer.next(
            **{name: getattr(new, name) for name in ("generation", "segments", "evaluations")},
            version=made.version,
            versions=versions,
        )
        await self._publish(tenant, task, new, found.etag)

    async def _publish(
        self, tenant: str, task: str, new: Pointer, etag: str | None
    ) -> StoredPointer:
        """Publish a pointer and remove what it names no more.

        Where somebody was first, what was written for it is removed in its place.
        """
        try:
            found = await changes.publish(self.store, self.log, tenant, task, new, etag)
        except ConflictError:
            there = await changes.current(self.store, self.log, tenant, task)
            await self.store.delete(tenant, task, new.names() - there.pointer.names())
            raise
        await self.store.delete(tenant, task, new.garbage)
        return found

    def _time_limit(self) -> TimeLimit:
        return TimeLimit(time.monotonic() + SHARE * min(self.seconds_left(), 1e6))


def _parts(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Cut entries where a segment is full."""
    cuts, size = [0], 0
    for at, one in enumerate(entries):
        size += len(one.feedback.to_json()) * 2 if one.feedback else 0  # as bytes, about
        if size > SEGMENT_BYTES and at > cuts[-1]:
            cuts.append(at)
            size = 0
    return [entries[start:end] for start, end in pairwise([*cuts, len(entries)])] if entries else []
