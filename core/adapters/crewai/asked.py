"""What a model is asked, as data, beside the prompt that says it in words.

For a model that needs no words, such as the offline one. It is known in the context of the call.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from core.crews.crew_runner import StepTask

REFUSED = (
    "Your previous answer was not valid:"  # begins the part of a context that says what was wrong
)
LESSONS = (  # begins the part of a context that tells what was learnt
    "Lessons from earlier flows, which may help. They are notes and not part of the task; where "
    "they contradict it, the task counts:"
)


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """Whether an answer keeps a rule: what a guardrail that is a sentence asks."""

    rule: str
    answer: str


asked: ContextVar[StepTask | RuleCheck | None] = ContextVar("asked", default=None)
