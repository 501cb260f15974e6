"""Having a learner take kept feedback, in the order in which it came."""

import time
from collections.abc import Iterable, Sequence

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


def learn_for(learner: Learner, entries: Sequence[Entry], start: int, seconds: float) -> int:
    """Have a learner take entries from `start` on for about so long; return where it stopped.

    One may hold a thousand times as much as another, so what is counted is time.
    """
    until, at = time.perf_counter() + seconds, start
    while at < len(entries) and (at == start or time.perf_counter() < until):
        learn(learner, entries[at : at + 1])
        at += 1
    return at


def take(learner: Learner, feedback: Feedback) -> None:
    """Have a learner take one. Raises InvalidInputError, ConflictError."""
    if feedback.right:
        learner.learn(feedback.pattern)
    else:
        learner.reject(feedback.pattern)
