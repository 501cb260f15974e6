"""Retraining: feedback leaves Redis for segments, a model is made of all that is kept, tried, and published.

Each step ends in one write of the pointer, by compare-and-set, and the steps before it change nothing
that anybody reads: so it may be killed anywhere and be begun anew, and of two that run at once one
publishes and the other gives up. Feedback is removed from Redis once the pointer names its segment.

What there is no time to learn is the oldest of it, and the version says how much that is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.errors import ConflictError, NotFoundError
from core.learning import changes, evaluation
from core.learning.feedback import Entry, FeedbackLog
from core.learning.kept_feedback import KeptFeedback
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models import stored
from core.learning.models.model_store import ModelStore, StoredPointer, UntrustedError
from core.learning.models.pointer import (
    KEPT_VERSIONS,
    MOST_EVALUATIONS,
    MOST_SEGMENTS,
    Evaluation,
    Pointer,
    Segment,
    Version,
)
from core.learning.segments import Segments
from core.learning.time_limit import TimeLimit

log = logging.getLogger(__name__)

READ = 500  # entries of one command
SMALL_BYTES = 1 << 20  # a segment below this is written again with what is new
JUDGED = 2_000  # the newest feedback, on which a candidate is tried: a third of all at most
SHARE = 0.7  # of the time that is left, for learning; the index and the store have the rest
LESS = 0.9  # of what may fit of a model that is too large: what it keeps is not its patterns alone
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
    new: Callable[[Model | None], Learner] = Learner  # a learner of a model, or of nothing

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
        found = await self._remove_left(tenant, task, found)
        subjects = await self.log.to_forget(tenant, task)
        found = await self._move_to_segment(tenant, task, found)
        if subjects:
            return await self._forget(tenant, task, found, subjects)
        if found.pointer.stored <= found.pointer.position:
            return "nothing new"
        return await self._evaluate(tenant, task, found)

    async def _remove_left(self, tenant: str, task: str, found: StoredPointer) -> StoredPointer:
        """Remove objects that a killed run has left, which no pointer names.

        Whoever wrote one may only be slow: so the pointer is written anew first, and they can name none of it.
        """
        left = await self.store.names(tenant, task) - found.pointer.names()
        if left:
            new = found.pointer.next()
            found = await changes.publish(self.store, self.log, tenant, task, new, found.etag)
            await self.store.delete(tenant, task, left)
        return found

    async def _move_to_segment(self, tenant: str, task: str, found: StoredPointer) -> StoredPointer:
        """Write what Redis has to a segment, name it, and then remove it from Redis."""
        pointer, segments = found.pointer, Segments(self.store, tenant, task)
        new = await self._new_entries(tenant, task, pointer.stored)
        if any(one.feedback for one in new):
            kept, joined = pointer.segments, list[Entry]()
            if kept and kept[-1].size_bytes < SMALL_BYTES:
                joined = await segments.read(kept[-1:])
                kept = kept[:-1]
            written = await segments.write([*joined, *new], pointer.generation)
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

    async def _evaluate(self, tenant: str, task: str, found: StoredPointer) -> str:
        """Make a candidate, evaluate it against the current model, and publish it if it is not worse."""
        pointer = found.pointer
        feedback = KeptFeedback(Segments(self.store, tenant, task), pointer.segments)
        newest = await feedback.newest(pointer.position, JUDGED)
        if not newest:
            return "nothing new"
        of_current = await self._score_of_current(tenant, task, pointer, newest)
        candidate, limit = self.new(None), self._time_limit()
        left_out = await feedback.teach(candidate, limit, before=newest[0].number)
        score = await asyncio.to_thread(evaluation.prequential, candidate, newest)
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
        await self._publish_model(tenant, task, candidate, found, new_pointer, left_out)
        return "published"

    async def _score_of_current(
        self, tenant: str, task: str, pointer: Pointer, newest: Sequence[Entry]
    ) -> evaluation.Score | None:
        """Return how the current model does; None before the first, where a reader knows all there is."""
        if not pointer.version:
            return None
        current = await self._current(tenant, task, pointer)
        feedback = KeptFeedback(Segments(self.store, tenant, task), pointer.segments)
        limit, first = self._time_limit(), newest[0].number
        await feedback.teach(current, limit, after=pointer.position, before=first)
        return await asyncio.to_thread(evaluation.prequential, current, newest)

    async def _current(self, tenant: str, task: str, pointer: Pointer) -> Learner:
        """Return the learner of the current model; one of nothing where it cannot be had."""
        try:
            return self.new(
                await self.store.model(tenant, task, pointer.version, pointer.generation)
            )
        except (UntrustedError, NotFoundError):
            log.exception("the current model is refused", extra={"tenant": tenant, "task": task})
            return self.new(None)

    async def _forget(
        self, tenant: str, task: str, found: StoredPointer, subjects: Mapping[str, int]
    ) -> str:
        """Write all segments anew without what subjects said up to a number each, and a model; remove the others.

        It is published whether it is worse or not, and no earlier version stays.
        """
        pointer, segments = found.pointer, Segments(self.store, tenant, task)
        generation, written = pointer.sequence + 1, list[Segment]()
        for segment in pointer.segments:
            kept = [
                one
                for one in await segments.read([segment])
                if one.feedback and one.number > subjects.get(one.feedback.whose, -1)
            ]
            written += await segments.write(kept, generation)
        candidate, limit = self.new(None), self._time_limit()
        left_out = await KeptFeedback(segments, written).teach(candidate, limit)
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
        model = await asyncio.to_thread(self._fitted, candidate, new.sequence)
        made = Version(new.sequence, new.stored, self.now_ms(), len(model.kept), left_out)
        await self.store.save_model(tenant, task, model, new.generation)
        versions = (made, *new.versions)[:KEPT_VERSIONS]
        new = found.pointer.next(
            **{name: getattr(new, name) for name in ("generation", "segments", "evaluations")},
            version=made.version,
            versions=versions,
        )
        await self._publish(tenant, task, new, found.etag)

    def _fitted(self, candidate: Learner, version: int) -> Model:
        """Return a candidate's model; it forgets what was used least until the model can be read again."""
        model = self.fit(candidate, version)
        while model.kept and (size := stored.size_bytes(stored.plain(model))) > stored.MAX_BYTES:
            fits = int(LESS * len(model.kept) * stored.MAX_BYTES / size)
            candidate.forget(len(model.kept) - fits)
            model = self.fit(candidate, version)
        return model

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
