"""A decider of tests: what a flow decides is the same each time, so it is learnt once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.learning.advice import NOTHING_LEARNT, Advice, Question
from core.learning.feedback import Feedback, FeedbackLog
from tests.tripwires import Tripwire

MEMORY = "sides"


@dataclass(frozen=True)
class Side:
    """Which of two sides a flow takes."""

    about: str = ""
    usual: None = None
    expected: None = None
    candidates: tuple[str, ...] = ("left", "right")
    teaches: bool = True

    @property
    def context(self) -> Mapping[str, Any]:
        return {"at": "the bridge"}


class Sides:
    """Every flow takes the left side."""

    def memory(self, inputs: Mapping[str, Any]) -> str:
        del inputs
        return MEMORY

    def decisions(self, text: str, inputs: Mapping[str, Any], task: str) -> list[Side]:
        del text, inputs, task
        return [Side()]

    def lesson(
        self, decision: Side, action: str, sure: float, usual: float | None, name: str
    ) -> str:
        raise NotImplementedError

    def decided(self, output: Any) -> Mapping[str, str]:
        del output
        return {"": "left"}


class WiredLearners:
    """Learners that know nothing and write down what they are taught, with a tripwire at both ends."""

    def __init__(self, log: FeedbackLog, wire: Tripwire) -> None:
        self._log, self._wire = log, wire

    async def advise(self, tenant: str, task: str, questions: Sequence[Question]) -> list[Advice]:
        del tenant, task
        return [NOTHING_LEARNT for _ in questions]

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        self._wire.passed("learning")
        await self._log.add(tenant, task, given)
        self._wire.passed("learnt")
