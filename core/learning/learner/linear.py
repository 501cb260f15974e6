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

import numpy as np
from numpy.typing import NDArray

FIRST_RATE, RATE = 0.7, 0.25  # of a step's way to the margin: with more seen, one says less
SETTLED = 30  # examples of each column after which the rate is half-way from the first to the last
REPLAYED = 3  # earlier feedbacks that are trained again with each
REMEMBERED = 4096  # feedbacks to draw from

Floats = NDArray[np.float32]


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

    def learn(self, example: Example) -> None:
        """Train on a feedback, and again on some that came before."""
        self._seen += 1
        self._step(example)
        for _ in range(min(REPLAYED, len(self.examples))):
            self._step(self.examples[self._draw()])
        if len(self.examples) < REMEMBERED:
            self.examples.append(example)
        else:
            self.examples[self._draw()] = example

    def forget(self, numbers: Collection[int]) -> None:
        """Train no more on patterns of these numbers."""
        self.examples = [one for one in self.examples if one.number not in numbers]

    def _draw(self) -> int:
        return int(self._random.random() * len(self.examples))

    def _rate(self) -> float:
        settled = SETTLED * self.columns
        return RATE + (FIRST_RATE - RATE) * settled / (settled + self._seen)

    def _step(self, example: Example) -> None:
        """Go towards the margin (squared hinge loss) in all columns that miss it."""
        wanted = np.full(self.columns, -1, np.float32)
        wanted[example.column] = 1
        missing = np.maximum(0, 1 - wanted * self.scores(example.buckets, example.values))
        (columns,) = np.nonzero(missing > 0)
        steps = (missing * wanted)[columns] * (self._rate() * example.weight)
        self._weights[example.buckets[:, None], columns] += np.outer(example.values, steps)
