"""Having a learner take kept feedback, in the order in which it came."""

import time
from collections.abc import Iterable, Sequence
from itertools import groupby

from core.errors import InvalidInputError
from core.learning.feedback import Entry, Feedback
from core.learning.learner import Learner
from core.learning.patterns import Pattern


def learn(learner: Learner, entries: Iterable[Entry]) -> int:
    """Have a learner take entries; return how many it refused.

    What was accepted once is not refused but for an action too many, or by a later version's rules.
    """
    given = (one.feedback for one in entries if one.feedback)
    refused = 0
    for right, some in groupby(given, lambda one: one.right):
        teach = _learn_all if right else _reject_all
        refused += teach(learner, some)
    return refused


def _learn_all(learner: Learner, given: Iterable[Feedback]) -> int:
    patterns, refused = list[Pattern](), 0
    for one in given:
        try:
            patterns.append(one.pattern)
        except InvalidInputError:
            refused += 1
    return refused + learner.learn_all(patterns)


def _reject_all(learner: Learner, given: Iterable[Feedback]) -> int:
    refused = 0
    for one in given:
        try:
            learner.reject(one.pattern)
        except InvalidInputError:
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
