"""Evaluation: a candidate against the model that answers now, on the newest feedback, which neither has seen.

Prequential: each predicts an event, then both take its feedback (Dawid, 1984). A candidate is refused if
it is worse, which is to say wrong significantly more often where just one of the two is right (McNemar's
test, one-sided at 5 %): so chance alone refuses one in twenty that is as good, not every second one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.errors import ConflictError, InvalidInputError
from core.learning.feedback import Entry
from core.learning.learner import Learner
from core.learning.replay import take

WORSE = 1.645  # standard deviations: 5 %, one-sided
BINS = 15
SURE = 0.95


@dataclass(slots=True)
class Score:
    """How a learner did: of each event how sure it was, and whether it was right."""

    confidences: list[float] = field(default_factory=list[float])
    right: list[bool] = field(default_factory=list[bool])

    @property
    def events(self) -> int:
        return len(self.right)

    @property
    def ece_ppm(self) -> int:
        """Expected calibration error over 15 bins of equal width, in millionths."""
        bins: dict[int, list[float]] = {}
        for sure, right in zip(self.confidences, self.right, strict=True):
            bins.setdefault(min(int(sure * BINS), BINS - 1), []).append(sure - right)
        off = sum(abs(sum(one)) for one in bins.values())
        return round(1e6 * off / max(self.events, 1))

    @property
    def answered(self) -> int:
        """How many it was sure of at 95 %."""
        return sum(sure >= SURE for sure in self.confidences)


def prequential(learner: Learner, entries: Iterable[Entry]) -> Score:
    """Have a learner predict each feedback that says what was right, and then take it."""
    score = Score()
    for entry in entries:
        if entry.feedback is None:
            continue
        if entry.feedback.right:
            action, sure = learner.predict(entry.feedback.context)
            score.confidences.append(sure)
            score.right.append(action == entry.feedback.action)
        try:
            take(learner, entry.feedback)
        except (InvalidInputError, ConflictError):
            continue
    return score


def is_worse(candidate: Sequence[bool], current: Sequence[bool]) -> bool:
    """Tell whether a candidate was wrong significantly more often than the model of its time."""
    pairs = list(zip(candidate, current, strict=True))
    better = sum(one and not other for one, other in pairs)
    worse = sum(other and not one for one, other in pairs)
    return worse - better > WORSE * math.sqrt(worse + better)
