"""A linear expert: support vector machines, one against the rest, trained as feedback comes.

A column of weights per concept says by the dot product with a context's terms how much speaks for
it: towards +1 where it was right, -1 where it was not. After each feedback some earlier ones are
trained again (experience replay): one pass over a stream forgets what came first.

Column 0 is of no concept and learns that it is never right. A concept that is new begins with a copy of
it, as if it had been there from the start; otherwise its zeros would outdo what was trained to say no.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.rows import Csr, Floats, Rows

FIRST_RATE, RATE = 0.7, 0.25  # of a step's way to the margin: with more seen, one says less
SETTLED = 30  # examples of each column after which the rate is half-way from the first to the last
REPLAYED = 3  # earlier feedbacks that are trained again with each
REMEMBERED = 4096  # feedbacks to draw from
TOGETHER = 128  # steps whose weights are read and written together


@dataclass(frozen=True, slots=True)
class Example:
    """A context as sparse vector of length 1, the column that was right, and how much it counts.

    `number` is that of the pattern it was made of.
    """

    buckets: NDArray[np.int64]
    values: Floats
    column: int
    weight: float
    number: int = -1


class Linear:
    """Weights by bucket and column; `columns` of them are in use."""

    def __init__(self, weights: Floats, examples: Sequence[Example] = (), seed: int = 0) -> None:
        self._weights = weights.astype(np.float32)  # a copy
        self.columns = weights.shape[1]
        self.examples = list(examples)
        self._seen = len(self.examples)
        self._random = random.Random(seed)  # noqa: S311  # draws examples; nobody gains by guessing

    @property
    def weights(self) -> Floats:
        """Those of the columns in use."""
        return self._weights[:, : self.columns]

    def add_column(self) -> None:
        """Begin a concept."""
        if self.columns == self._weights.shape[1]:
            self._weights = np.concatenate([self._weights, np.zeros_like(self._weights)], axis=1)
        self._weights[:, self.columns] = self._weights[:, 0]
        self.columns += 1

    def scores(self, buckets: NDArray[np.int64], values: Floats) -> Floats:
        """Return a score per column, about -1 to 1."""
        return values @ self._weights[buckets, : self.columns]

    def scores_of(self, rows: Rows, matrix: Any) -> Floats:
        """Return a score per column of each row."""
        return matrix @ self._weights[rows.used, : self.columns]

    def learn(self, example: Example) -> None:
        """Train on a feedback, and again on some that came before."""
        for one, rate in self._turns(example):
            self._train(one, rate)

    def learn_all(self, csr: Csr, examples: Sequence[Example]) -> None:
        """Train on several as `learn` does on one after the other, but for how sums are rounded."""
        turns = [turn for one in examples for turn in self._turns(one)]
        for at in range(0, len(turns), TOGETHER):
            self._train_all(csr, turns[at : at + TOGETHER])

    def _turns(self, example: Example) -> list[tuple[Example, float]]:
        """Return what a feedback has trained, one after the other, at which rates; and remember it."""
        self._seen += 1
        again = [self.examples[self._draw()] for _ in range(min(REPLAYED, len(self.examples)))]
        if len(self.examples) < REMEMBERED:
            self.examples.append(example)
        else:
            self.examples[self._draw()] = example
        rate = self._rate()
        return [(one, rate) for one in (example, *again)]

    def forget(self, numbers: Collection[int]) -> None:
        """Train no more on patterns of these numbers."""
        self.examples = [one for one in self.examples if one.number not in numbers]

    def _train_all(self, csr: Csr, turns: Sequence[tuple[Example, float]]) -> None:
        """Train one after the other, with the weights of all read once and written once.

        A step adds a multiple of its example to a column's weights, so it moves the score of a later
        example by that multiple of how alike the two are.
        """
        rows = Rows([one.buckets for one, _ in turns])
        matrix = rows.matrix(csr, np.concatenate([one.values for one, _ in turns]))
        weights = self._weights[rows.used, : self.columns]
        scores, alike = matrix @ weights, matrix @ matrix.T.toarray(order="C")
        steps = np.zeros_like(scores)
        for place, (example, rate) in enumerate(turns):
            now = scores[place] + alike[place, :place] @ steps[:place]
            steps[place] = step(now, example, rate)
        self._weights[rows.used, : self.columns] = weights + matrix.T @ steps

    def _draw(self) -> int:
        return int(self._random.random() * len(self.examples))

    def _rate(self) -> float:
        settled = SETTLED * self.columns
        return RATE + (FIRST_RATE - RATE) * settled / (settled + self._seen)

    def _train(self, example: Example, rate: float) -> None:
        rows = self._weights[example.buckets, : self.columns]
        steps = step(example.values @ rows, example, rate)
        rows += np.outer(example.values, steps)
        self._weights[example.buckets, : self.columns] = rows


def step(scores: Floats, example: Example, rate: float) -> Floats:
    """Return how far to go towards the margin (squared hinge loss) in each column, 0 in those that hold it."""
    size = np.float32(rate * example.weight)
    steps = np.maximum(scores + 1, 0) * -size
    steps[example.column] = max(0, 1 - scores[example.column]) * size
    return steps
