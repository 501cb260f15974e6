"""Rows: the terms of many contexts as one sparse matrix: one product of it costs less than one for each.

Its columns are those buckets that occur in any of its rows. The matrix is scipy's, which is given (`Csr`), since
answering imports numpy only.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.terms import BUCKETS

Floats = NDArray[np.float32]
Csr = Callable[..., Any]  # scipy.sparse.csr_array((values, columns, starts), shape)


class Rows:
    """Where the values of each row are: of all rows one after the other, as `buckets` has them."""

    def __init__(self, buckets: Sequence[NDArray[np.int64]]) -> None:
        sizes = [len(one) for one in buckets]
        self.buckets = np.concatenate(buckets)
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        self._rows = np.repeat(np.arange(len(sizes)), sizes)
        occurs = np.zeros(BUCKETS, np.bool_)
        occurs[self.buckets] = True
        self.used = np.flatnonzero(occurs)
        self._columns = (np.cumsum(occurs, dtype=np.int32) - 1)[self.buckets]

    def matrix(self, csr: Csr, values: Floats) -> Any:
        """Return the matrix of these values, a column for each bucket of `used`."""
        return csr((values, self._columns, self._starts), (len(self._starts) - 1, len(self.used)))

    def spread(self, each: NDArray[Any]) -> NDArray[Any]:
        """Return one number for each row as one for each of its values."""
        return each[self._rows]

    def sums(self, values: Floats) -> Floats:
        """Return the sum of each row."""
        return np.bincount(self._rows, values, len(self._starts) - 1).astype(np.float32)

    def unit(self, values: Floats) -> Floats:
        """Return the values of rows of length 1; empty ones stay as they are."""
        lengths = np.maximum(np.sqrt(self.sums(values * values)), 1e-12)
        return (values / self.spread(lengths)).astype(np.float32)

    def split(self, values: Floats) -> list[Floats]:
        """Return the values of each row, each as an array of its own: kept, it holds no others."""
        return [one.copy() for one in np.split(values, self._starts[1:-1])]
