"""The tutor of a process: asks its learners, and writes what is to be learnt to the log of feedback."""

from collections.abc import Sequence

from core import cpu
from core.learning.feedback import Feedback, FeedbackLog
from core.learning.learner import Learner, Recommendation
from core.learning.serving import Learners
from core.learning.tutor import Question

UNKNOWN = Recommendation((), abstain=True, version=0)


class ServingTutor:
    """Tutor over learners that know all feedback of the log."""

    def __init__(self, learners: Learners, log: FeedbackLog) -> None:
        self._learners, self._log = learners, log

    async def advise(
        self, tenant: str, task: str, questions: Sequence[Question]
    ) -> list[Recommendation]:
        """Answer all questions from one state of the learner; what speaks for answers is kept longer."""
        async with self._learners.lock(tenant, task):
            served = await self._learners.current(tenant, task)
            if served.position == 0:
                return [UNKNOWN for _ in questions]

            def answers(learner: Learner) -> list[Recommendation]:
                found = [
                    learner.recommend(each.context, each.candidates, most=len(each.candidates))
                    for each in questions
                ]
                shown = (one for each in found for one in each.actions[:1])
                learner.use([number for one in shown for number in one.patterns])
                return found

            return await cpu.run(tenant, answers, served.learner)

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        """Append feedback; it counts in the next answer of every process."""
        for each in given:
            each.check()
        await self._log.add(tenant, task, given)
