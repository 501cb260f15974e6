"""Having a learner take kept feedback, in the order in which it came."""

from collections.abc import Iterable

from core.errors import ConflictError, InvalidInputError
from core.learning.feedback import Entry, Feedback
from core.learning.learner import Learner


def learn(learner: Learner, entries: Iterable[Entry]) -> int:
    """Have a learner take entries; return how many it refused.

    What was accepted once is not refused but for an action too many, or by a later version's rules.
    """
    refused = 0
    for entry in entries:
        if entry.feedback is None:
            continue
        try:
            take(learner, entry.feedback)
        except (InvalidInputError, ConflictError):
            refused += 1
    return refused


def take(learner: Learner, feedback: Feedback) -> None:
    """Have a learner take one. Raises InvalidInputError, ConflictError."""
    if feedback.right:
        learner.learn(feedback.pattern)
    else:
        learner.reject(feedback.pattern)
