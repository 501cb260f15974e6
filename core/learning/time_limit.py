"""Learning within a time limit: where there is too little, what is oldest of the rest is passed over."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.learning.feedback import Entry
from core.learning.learner import Learner
from core.learning.replay import learn

CHUNK = 512  # feedback between two looks at the clock
WARM = 0.05  # of the time, before which the pace says little: much is learnt faster than a little
DOUBT = (
    0.1  # of what fits: so much better the pace may be later on; nothing is passed over for less
)
RECENT = 0.9  # of earlier chunks' time counts with each: some ten of them make the pace


@dataclass(slots=True)
class TimeLimit:
    """How long learning may take: `end` is in seconds of `clock`."""

    end: float
    clock: Callable[[], float] = time.monotonic
    _began: float | None = field(default=None, init=False)
    _learnt: float = field(default=0.0, init=False)  # of late, in so many seconds
    _seconds: float = field(default=0.0, init=False)

    def learn(self, learner: Learner, entries: Sequence[Entry], later: int = 0) -> int:
        """Have a learner take entries, of more, with so many `later` ones to be learnt after them.

        Passes over the oldest of those for which there is no time; returns how many of these entries.
        """
        passed_over = at = 0
        while at < len(entries):
            skip = min(self.too_many(len(entries) - at + later), len(entries) - at)
            passed_over, at = passed_over + skip, at + skip
            self._learn(learner, entries[at : at + CHUNK])
            at += CHUNK
        return passed_over

    def too_many(self, left: int) -> int:
        """Return for how many of what is left there is no time, at the pace of late; 0 before there is one.

        What is passed over cannot be taken back, while the pace changes. So a few are no reason, the
        fewer the less time is left for a change.
        """
        now = self.clock()
        if self._began is None or now < self._began + WARM * (self.end - self._began):
            return 0
        each = max(self._seconds / self._learnt, 1e-9)
        fit = max(0, min(left, (self.end - now) / each))
        time_left = max(0, (self.end - now) / max(self.end - self._began, 1e-9))
        many = left - math.ceil(fit)
        return many if many > DOUBT * time_left * fit else 0

    def _learn(self, learner: Learner, entries: Sequence[Entry]) -> None:
        began = self.clock()
        self._began = began if self._began is None else self._began
        learn(learner, entries)
        self._seconds = RECENT * self._seconds + self.clock() - began
        self._learnt = RECENT * self._learnt + len(entries)
