"""Calibration: from a score to how often answers with such a score were right.

Isotonic regression (pool adjacent violators; Barlow et al., 1972) over the last events: a rising
step function, straight between the middles of its steps. An event counts only after it was
predicted, so no answer's confidence has seen what it is about.
"""

from collections import deque
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

WINDOW = 1000  # events that count
REFIT = 50  # events between two fits
PRIOR = 2.0  # events of the mean rate by which every step is drawn towards the mean

Doubles = NDArray[np.float64]


class Calibration:
    """What recent scores were worth. Scores are probabilities, 0 to 1."""

    def __init__(self, past: Iterable[tuple[float, bool]] = ()) -> None:
        self._past: deque[tuple[float, bool]] = deque(past, WINDOW)
        self._unfitted = 0
        self._scores, self._rates = isotonic(self._past)

    @property
    def past(self) -> list[tuple[float, bool]]:
        """The events that count, oldest first."""
        return list(self._past)

    def observe(self, score: float, *, right: bool) -> None:
        """Take how an answer turned out."""
        self._past.append((score, right))
        self._unfitted += 1

    def confidence(self, score: float) -> float:
        """Return the share of right answers among those with about this score; 0 before any."""
        if self._unfitted >= min(REFIT, len(self._past) // 4 + 1):
            self._scores, self._rates = isotonic(self._past)
            self._unfitted = 0
        return float(np.interp(score, self._scores, self._rates))


def isotonic(past: Iterable[tuple[float, bool]]) -> tuple[Doubles, Doubles]:
    """Return the middles of the steps and their rates, both rising; one step of 0 for no events."""
    events = sorted(past)
    if not events:
        return np.zeros(1), np.zeros(1)
    mean = sum(right for _, right in events) / len(events)
    steps: list[tuple[float, float, int]] = []  # sums of scores and of right answers, events
    for _, equal in groupby(events, itemgetter(0)):  # equal scores are one step
        same = list(equal)
        step = (sum(score for score, _ in same), float(sum(right for _, right in same)), len(same))
        while steps and steps[-1][1] * step[2] >= step[1] * steps[-1][2]:
            before = steps.pop()
            step = (before[0] + step[0], before[1] + step[1], before[2] + step[2])
        steps.append(step)
    sums = np.array(steps)
    rates = (sums[:, 1] + PRIOR * mean) / (sums[:, 2] + PRIOR)
    return np.maximum.accumulate(sums[:, 0] / sums[:, 2]), np.maximum.accumulate(rates)
