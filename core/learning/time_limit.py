"""Learning within a time limit: where there is too little, what is oldest of the rest is skipped."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.learning.feedback import Entry
from core.learning.learner import Learner
from core.learning.replay import learn

CHUNK = 200  # feedback between two looks at the clock


@dataclass(slots=True)
class TimeLimit:
    """How long learning may take: `end` is in seconds of `clock`."""

    end: float
    clock: Callable[[], float] = time.monotonic

    def learn(self, learner: Learner, entries: Sequence[Entry]) -> int:
        """Have a learner take entries; skip the oldest of those for which there is no time; return how many."""
        skipped, at = 0, 0
        began = self.clock()
        while at < len(entries):
            learn(learner, entries[at : at + CHUNK])
            at += CHUNK
            each = (self.clock() - began) / (at - skipped)
            fit = max(0, min(len(entries), (self.end - self.clock()) / max(each, 1e-9)))
            behind = len(entries) - at - int(fit)
            if behind > 0:
                skipped += behind
                at += behind
        return skipped
