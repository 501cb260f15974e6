"""Learners of this process: each is a model, and all feedback since, read beside each answer.

They answer the API and a deployment's crews, so what is said there is told here.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from core import cpu
from core.learning.advice import NOTHING_LEARNT, Advice, Question, answered
from core.learning.context import leaves
from core.learning.feedback import Feedback, FeedbackLog
from core.learning.following import Follower, Served
from core.learning.learner import Learner, Suggestion
from core.learning.models.model_store import ModelStore
from core.learning.patterns import Kept
from core.learning.served import Key, ServedLearners

AT_ONCE = 50  # questions, some 50 ms of processor time
BEHIND = "there is more feedback than could be learnt in one answer: the next one knows more"


@dataclass(frozen=True, slots=True)
class Answer:
    """A recommendation, the patterns that it names, and what it comes from.

    `position` is the number of the last feedback that it knows.
    """

    actions: tuple[Suggestion, ...]
    abstain: bool
    patterns: Mapping[int, Kept]
    version: int
    position: int
    degraded: str


class Learners:
    """The learners of a process, which answer. `clock` returns seconds, ever more."""

    def __init__(
        self, store: ModelStore, feedback: FeedbackLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._follower = feedback, Follower(store, feedback, clock)
        self._served = ServedLearners()
        self._locks = WeakValueDictionary[Key, asyncio.Lock]()

    def lock(self, tenant: str, task: str) -> asyncio.Lock:
        """Return what is held while a task's learner learns or answers."""
        return self._locks.setdefault((tenant, task), asyncio.Lock())

    async def recommend(
        self,
        tenant: str,
        task: str,
        context: Mapping[str, Any],
        candidates: Sequence[str] | None = None,
        most: int = 3,
        precision: float = 0.0,
    ) -> Answer:
        """Return the best actions, with all feedback in mind. Raises UnavailableError, InvalidInputError."""
        leaves(context)
        async with self.lock(tenant, task):
            served = await self.current(tenant, task)

            def answer(learner: Learner) -> Answer:
                found = learner.recommend(context, candidates, most, precision)
                shown = [number for one in found.actions for number in one.patterns]
                kept = {number: learner.kept_one(number) for number in shown}
                learner.use([number for one in found.actions[:1] for number in one.patterns])
                return Answer(
                    found.actions, found.abstain, kept,
                    found.version, served.position,
                    _degraded(served),
                )  # fmt: skip

            return await cpu.run(tenant, answer, served.learner)

    async def advise(self, tenant: str, task: str, questions: Sequence[Question]) -> list[Advice]:
        """Answer questions in their order, all from one look at what is new. Raises UnavailableError."""
        async with self.lock(tenant, task):
            served = await self.current(tenant, task)
            if not (served.position or served.learner.version):
                return [NOTHING_LEARNT for _ in questions]
            answers = list[Advice]()
            for start in range(0, len(questions), AT_ONCE):  # other tenants' work comes between
                some = questions[start : start + AT_ONCE]
                answers += await cpu.run(tenant, partial(answered, served.learner), some)
            return answers

    async def degraded(self, tenant: str, task: str) -> str:
        """Return why an answer may be older than it should be, as the next one tells; empty where all is well.

        It loads what that one would load. Raises UnavailableError.
        """
        async with self.lock(tenant, task):
            return _degraded(await self.current(tenant, task))

    def last_degraded(self, tenant: str, task: str) -> str:
        """Return the same of this process' last answer, without a look at Redis or the object store."""
        return _degraded(self._served.get((tenant, task)))

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        """Append feedback, which every process reads before its next answer; what has the same id, once.

        Raises InvalidInputError for what cannot be kept, ConflictError for too much, UnavailableError.
        """
        for each in given:
            each.check()
        await self._log.add(tenant, task, given)

    async def current(self, tenant: str, task: str) -> Served:
        """Return a learner that knows all feedback; call it with the task's lock held.

        It is `behind` where that was too much for one answer: the next one goes on from there. Raises
        UnavailableError where Redis does not answer.
        """
        key = (tenant, task)
        served = self._served.get(key)
        has_grown = await self._follower.catch_up(tenant, task, served)
        self._served.keep(key, served, has_grown=has_grown)
        return served


def _degraded(served: Served) -> str:
    return served.degraded or (BEHIND if served.behind else "")
