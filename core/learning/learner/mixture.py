"""The mixture: experts weighed by how seldom they erred of late.

Exponentiated weights on discounted misses (Herbster and Warmuth, 1998): an expert that errs more than
the best one loses weight at once, and wins it back when that changes.
"""

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Floats

ETA = 0.1  # how much a miss costs
DISCOUNT = 0.998  # of earlier misses, per event: some 500 events count


class Mixture:
    """Weights of experts."""

    def __init__(self, misses: NDArray[np.float64]) -> None:
        self.misses = misses.copy()

    @property
    def weights(self) -> Floats:
        """How much each expert's opinion counts; all are 1 together."""
        weights = np.exp(-ETA * (self.misses - self.misses.min()))
        return (weights / weights.sum()).astype(np.float32)

    def mixed(self, opinions: NDArray[np.float32]) -> Floats:
        """Return log-probabilities per concept of log-probabilities per (context,) expert and concept."""
        return log_softmax(self.weights @ opinions)

    def observe(self, opinions: NDArray[np.float32], concept: int) -> None:
        """Take which concept was right."""
        self.misses *= DISCOUNT
        self.misses += opinions.argmax(axis=1) != concept


def log_softmax(scores: Floats) -> Floats:
    """Return log-probabilities of scores; the last axis is of concepts."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
