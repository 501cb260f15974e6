"""Tutor over the learners of this process and the log of feedback: one command of Redis each."""

from collections.abc import Sequence
from functools import partial

from core import cpu
from core.learning.feedback import Feedback, FeedbackLog
from core.learning.serving import Learners
from core.learning.tutor import NOTHING_LEARNT, Advice, Question, answered

AT_ONCE = 50  # questions, some 50 ms of processor time


class ServingTutor:
    """Answers from the same learners as the API, so what is said there is told here."""

    def __init__(self, learners: Learners, log: FeedbackLog) -> None:
        self._learners, self._log = learners, log

    async def advise(self, tenant: str, task: str, questions: Sequence[Question]) -> list[Advice]:
        """Answer all questions from one look at what is new."""
        async with self._learners.lock(tenant, task):
            served = await self._learners.current(tenant, task)
            if not (served.position or served.learner.version):
                return [NOTHING_LEARNT for _ in questions]
            answers = list[Advice]()
            for start in range(0, len(questions), AT_ONCE):  # other tenants' work comes between
                some = questions[start : start + AT_ONCE]
                answers += await cpu.run(tenant, partial(answered, served.learner), some)
            return answers

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        """Append feedback, which every process reads before its next answer."""
        for each in given:
            each.check()
        await self._log.add(tenant, task, given)
