"""Having a learner follow what there is to learn: the pointer's model and segments, and then what Redis has.

A warm process asks for the pointer each 15 seconds, by a conditional GET, and for newer feedback each
time, by one command of Redis. Whatever fails on the object store's side changes no answer: the last
good model stays in use, and what is wrong is told as `degraded`, with every answer.

An old pointer that somebody puts back has a lower sequence than the highest that was seen, which Redis
remembers for all processes, and a process for itself.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from core import cpu
from core.config import SettingsError
from core.errors import NotFoundError, UnavailableError
from core.learning.feedback import Entry, FeedbackLog, entries_of
from core.learning.learner import Learner
from core.learning.models.model_store import (
    ModelStore,
    StoredPointer,
    UntrustedError,
    require_newest,
)
from core.learning.models.pointer import Pointer, Segment
from core.learning.replay import learn_for

log = logging.getLogger(__name__)

RECHECK_SECONDS = 15.0
WARM_SECONDS = 1.5  # that an answer waits for the pointer, where there is something to answer from
READ = 500  # entries of one command
TURN_SECONDS = 0.02  # of the processor, in which feedback is learnt before others have their turn
CATCH_UP_SECONDS = 5.0  # of one answer
FAULTS = (UnavailableError, NotFoundError, SettingsError)  # UntrustedError is one of the first


@dataclass(slots=True)
class Served:
    """A learner that answers, the pointer it comes from, and the last feedback it has learnt.

    `degraded` says why it may be older than it should be; empty where all is well. `behind` is true while
    there is feedback that it has yet to learn.
    """

    learner: Learner = field(default_factory=Learner)
    pointer: Pointer = field(default_factory=Pointer)
    etag: str | None = None
    position: int = 0
    checked_at: float = -math.inf
    degraded: str = ""
    behind: bool = False

    @property
    def is_of_nothing(self) -> bool:
        """Whether there is neither feedback nor a pointer of this task, as far as is known."""
        return not (self.position or self.learner.version or self.pointer.sequence)


@dataclass(frozen=True, slots=True)
class Follower:
    """Brings learners up to date. `clock` returns seconds, ever more."""

    store: ModelStore
    log: FeedbackLog
    clock: Callable[[], float]

    async def catch_up(self, tenant: str, task: str, served: Served) -> bool:
        """Have a learner know all feedback; return whether it may have grown.

        It is `behind` where that was too much for one answer. Raises UnavailableError where Redis does not answer.
        """
        has_grown = checked = self.clock() - served.checked_at >= RECHECK_SECONDS
        until, served.behind = self.clock() + CATCH_UP_SECONDS, False
        if checked:
            await self._check(tenant, task, served, until)
        while not served.behind:
            entries = await self._newer(tenant, task, served, until, checked=checked)
            if entries:
                has_grown = True
                served.position = await self._learn(tenant, served, served.learner, entries, until)
            if len(entries) < READ:
                break
        return has_grown

    async def _learn(
        self,
        tenant: str,
        served: Served,
        learner: Learner,
        entries: Sequence[Entry],
        until: float,
    ) -> int:
        """Learn entries, in turns with what others want of the processor; return the last one's number.

        Stops at a time, and is behind then.
        """
        at = 0
        while at < len(entries) and not served.behind:
            at = await cpu.run(
                tenant, lambda start: learn_for(learner, entries, start, TURN_SECONDS), at
            )
            served.behind = at < len(entries) and self.clock() > until
        return entries[at - 1].number

    async def _newer(
        self, tenant: str, task: str, served: Served, until: float, *, checked: bool
    ) -> list[Entry]:
        """Return entries that are new; where some are missing, the pointer is looked at first.

        Not if it was `checked` a moment ago: then what is missing is gone.
        """
        entries = await self.log.after(tenant, task, served.position, READ)
        whole = all(one.feedback for one in entries) and (
            not entries or entries[0].number == served.position + 1
        )
        if whole or checked:
            return entries
        anew = not all(one.feedback for one in entries)
        await self._check(tenant, task, served, until, anew=anew)
        if served.behind:
            return []
        return await self.log.after(tenant, task, served.position, READ)

    async def _check(
        self, tenant: str, task: str, served: Served, until: float, *, anew: bool = False
    ) -> None:
        """Load what the pointer names, if it is another model; `anew`: in any case."""
        served.checked_at = self.clock()
        newest = None
        try:
            newest = await self._newest(tenant, task, served, anew=anew)
            try:
                await self._follow(tenant, task, served, newest, until, anew=anew)
            except NotFoundError:  # a retraining has replaced it since
                newest = await self._newest(tenant, task, served, anew=True)
                await self._follow(tenant, task, served, newest, until, anew=anew)
            served.degraded = ""
        except FAULTS as error:
            self._degrade(tenant, task, served, str(error))
            if newest is not None and not served.learner.version:
                await self._fall_back(tenant, task, served, newest.pointer)

    async def _newest(self, tenant: str, task: str, served: Served, *, anew: bool) -> StoredPointer:
        """Return the pointer, by a conditional GET. Raises UntrustedError for one that is older than one seen."""
        is_warm = bool(served.learner.version or served.position)
        try:
            async with asyncio.timeout(WARM_SECONDS if is_warm else None):
                found = await self.store.pointer(tenant, task, None if anew else served.etag)
        except TimeoutError as error:
            raise UnavailableError("the object store takes too long") from error
        found = found or StoredPointer(served.pointer, served.etag)
        require_newest(
            found.pointer, max(served.pointer.sequence, await self.log.floor(tenant, task))
        )
        return found

    async def _follow(
        self,
        tenant: str,
        task: str,
        served: Served,
        found: StoredPointer,
        until: float,
        *,
        anew: bool,
    ) -> None:
        """Load what a pointer names, if it is not there; where time does not suffice, the next look goes on."""
        if anew or found.etag != served.etag:
            await self._load(tenant, task, served, found.pointer, until, anew=anew)
            served.pointer, served.etag = found.pointer, None if served.behind else found.etag
            if served.behind:
                served.checked_at = -math.inf

    async def _fall_back(self, tenant: str, task: str, served: Served, newest: Pointer) -> None:
        """Load the newest of the earlier versions that can be, where there is no model at all."""
        for earlier in sorted(newest.versions, key=lambda one: -one.version):
            if earlier.version != newest.version:
                with suppress(*FAULTS):
                    older = replace(newest, version=earlier.version)
                    await self._load(tenant, task, served, older, math.inf)
                    return

    def _is_other_model(self, served: Served, found: Pointer) -> bool:
        """Tell whether a model is named that the learner does not come from."""
        other_feedback = found.generation != served.pointer.generation
        return found.version != served.learner.version or other_feedback

    async def _load(
        self,
        tenant: str,
        task: str,
        served: Served,
        found: Pointer,
        until: float,
        *,
        anew: bool = True,
    ) -> None:
        """Put a learner of the pointer's model in place, unless it is there, and have it learn newer segments."""
        learner, position = served.learner, served.position
        if anew or self._is_other_model(served, found):
            position = found.position
            learner = await self._learner(tenant, task, found)
        for segment in (one for one in found.segments if one.last > position):
            entries = await self._segment(tenant, task, segment)
            new = [one for one in entries if one.number > position]
            position = await self._learn(tenant, served, learner, new, until)
            if served.behind:
                break
        else:
            position = max(position, found.stored)
        served.learner, served.position = learner, position

    async def _learner(self, tenant: str, task: str, found: Pointer) -> Learner:
        if not found.version:
            return Learner()
        model = await self.store.model(tenant, task, found.version, found.generation)
        return await cpu.run_long(Learner, model)

    async def _segment(self, tenant: str, task: str, segment: Segment) -> Iterable[Entry]:
        data = await self.store.segment(tenant, task, segment)
        try:
            return await cpu.run(tenant, lambda text: list(entries_of(text)), data)
        except ValueError as error:
            raise UntrustedError(f"segment {segment.name} is damaged") from error

    def _degrade(self, tenant: str, task: str, served: Served, why: str) -> None:
        if served.degraded != why:
            log.error(
                "an older model stays in use", extra={"tenant": tenant, "task": task, "why": why}
            )
        served.degraded = why
