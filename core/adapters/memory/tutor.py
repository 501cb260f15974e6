"""Tutor in one process' memory: a learner for each tenant and task."""

from collections.abc import Sequence

from core.learning.feedback import Feedback
from core.learning.learner import Learner
from core.learning.tutor import NOTHING_LEARNT, Advice, Question, answered


class MemoryTutor:
    """Learners, and the ids of what they were taught."""

    def __init__(self) -> None:
        self._learners: dict[tuple[str, str], Learner] = {}
        self._ids: set[tuple[str, str, str]] = set()

    async def advise(self, tenant: str, task: str, questions: Sequence[Question]) -> list[Advice]:
        learner = self._learners.get((tenant, task))
        if learner is None:
            return [NOTHING_LEARNT for _ in questions]
        return answered(learner, questions)

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        learner = self._learners.setdefault((tenant, task), Learner())
        for each in given:
            if (tenant, task, each.id) not in self._ids:
                learner.learn(each.pattern)
                self._ids.add((tenant, task, each.id))
