"""Naive Bayes: counts of terms per concept, exact after each feedback.

A term speaks for a concept by how much more often it occurs with it than at all. Few counts are
smoothed towards the background, what occurs at all, and all concepts are held equally likely.
Forgetting a feedback takes its counts off again.
"""

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Example, Floats

SMOOTHING = 100.0  # of the background, about the counts of seven feedbacks
SURE = 6.0  # how much likelier something else must be to contradict, as its logarithm
KNOWN = 5  # feedbacks, before which a concept may look like any
_RARE = 1e-3  # count of a term that never occurred


class Bayes:
    """Counts by bucket and column."""

    def __init__(self, counts: Floats) -> None:
        self._counts = counts.copy()
        self.columns = counts.shape[1]
        self._totals = self._counts.sum(axis=0)
        self._background = self._counts.sum(axis=1) + np.float32(_RARE)
        self._total = float(self._background.sum())

    @property
    def counts(self) -> Floats:
        """Those of the columns in use."""
        return self._counts[:, : self.columns]

    def add_column(self) -> None:
        """Begin a concept."""
        if self.columns == self._counts.shape[1]:
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)], axis=1)
            self._totals = np.concatenate([self._totals, np.zeros_like(self._totals)])
        self.columns += 1

    def scores(self, buckets: NDArray[np.int64], values: Floats) -> Floats:
        """Return a log-likelihood per column, less that of the background."""
        background = self._background[buckets] / self._total
        seen = self._counts[buckets, : self.columns] / background[:, None]
        most = values.sum() * np.log(self._totals[: self.columns] + SMOOTHING)
        return values @ np.log(seen + np.float32(SMOOTHING)) - most

    def contradicts(self, look: Example) -> bool:
        """Return whether a concept that is known well is far less likely than another one."""
        likely = self.scores(look.buckets, look.values)
        known = self._totals[look.column] >= KNOWN * look.values.sum()
        return bool(look.column and known and likely.max() - likely[look.column] > SURE)

    def learn(self, example: Example) -> None:
        """Count a feedback; one of negative weight takes back what was counted."""
        counted = example.values * example.weight
        counts = self._counts[example.buckets, example.column] + counted
        self._counts[example.buckets, example.column] = np.maximum(counts, 0)
        self._background[example.buckets] += counted
        self._totals[example.column] += counted.sum()
        self._total += float(counted.sum())
