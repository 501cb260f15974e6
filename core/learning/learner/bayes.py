"""Naive Bayes: counts of terms per concept, exact after each feedback.

A term speaks for a concept by how much more often it occurs with it than at all. Few counts are
smoothed towards the background, what occurs at all, and all concepts are held equally likely.
Forgetting a feedback takes its counts off again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Example, Floats
from core.learning.learner.rows import Rows

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

    def scores_of(self, rows: Rows, matrix: Any, sums: Floats) -> Floats:
        """Return what `scores` does for each row of a matrix; `sums` are those of its rows."""
        background = self._background[rows.used] / self._total
        seen = self._counts[rows.used, : self.columns] / background[:, None]
        most = np.outer(sums, np.log(self._totals[: self.columns] + SMOOTHING))
        return matrix @ np.log(seen + np.float32(SMOOTHING)) - most

    def contradicts(self, likely: Floats, column: int, counts: float) -> bool:
        """Return whether a concept that is known well is far less likely than another one.

        `likely` are log-likelihoods of a context that has so many counts, up to what all columns share.
        """
        known = self._totals[column] >= KNOWN * counts
        return bool(column and known and likely.max() - likely[column] > SURE)

    def learn(self, example: Example) -> None:
        """Count a feedback; one of negative weight takes back what was counted."""
        counted = example.values * example.weight
        counts = self._counts[example.buckets, example.column] + counted
        self._counts[example.buckets, example.column] = np.maximum(counts, 0)
        self._background[example.buckets] += counted
        self._totals[example.column] += counted.sum()
        self._total += float(counted.sum())

    def learn_all(self, rows: Rows, counted: Floats, columns: NDArray[np.int64]) -> None:
        """Count feedback of these columns, a row each: of every term its value times its weight."""
        each = rows.spread(columns)
        np.add.at(self._counts, (rows.buckets, each), counted)
        self._background += np.bincount(rows.buckets, counted, len(self._background))
        self._totals += np.bincount(each, counted, len(self._totals))
        self._total += float(counted.sum())
