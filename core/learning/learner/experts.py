"""The experts: a linear one and naive Bayes say which concept a context is of, and are mixed.

One context after the other, or many at once (`looks`, `train_all`), where all are looked at before any is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.bayes import Bayes
from core.learning.learner.linear import Example, Floats, Linear
from core.learning.learner.mixture import Mixture, log_softmax
from core.learning.learner.model import Model
from core.learning.learner.rows import Csr, Rows
from core.learning.learner.terms import Terms

SHARPNESS = np.float32(4)  # of the linear expert's scores, which are about -1 to 1
COMMON = 0.01  # what a term weighs that is in every context, squared
BAYES, FAIR = 1, 0.2  # place of naive Bayes among the experts; its share as one of the best


@dataclass(frozen=True, slots=True)
class Look:
    """A context as the experts see it."""

    terms: Terms
    weighed: Floats  # by how rare the terms are, for the linear expert
    plain: Floats
    opinions: Floats  # of each expert, log-probabilities of the concepts
    mixed: Floats


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a look is to be trained as: the pattern's number, its concept, and how much it counts."""

    look: Look
    number: int
    concept: int
    weight: float


class Experts:
    """The experts of one task, with how often each bucket was seen."""

    def __init__(self, model: Model) -> None:
        self.linear = Linear(model.weights, model.examples)
        self.bayes = Bayes(model.counts)
        self.mixture = Mixture(model.misses)
        self.frequencies = model.frequencies.copy()
        self.seen = model.seen

    @property
    def size_bytes(self) -> int:
        """How much memory the tables take."""
        parts = self.linear.weights, self.bayes.counts, self.frequencies
        return sum(part.nbytes for part in parts)

    def look(self, found: Terms) -> Look:
        """Return a context as they see it."""
        weighed = unit(found.weights * self._rarity(found.buckets))
        plain = unit(found.weights)
        margins = self.linear.scores(found.buckets, weighed) * SHARPNESS
        likelihoods = self.bayes.scores(found.buckets, plain)
        opinions = log_softmax(np.stack([margins, likelihoods]))
        return Look(found, weighed, plain, opinions, self.mixture.mixed(opinions))

    def looks(self, csr: Csr, found: Sequence[Terms]) -> list[Look]:
        """Return contexts as they see them."""
        rows = Rows([one.buckets for one in found])
        weights = np.concatenate([one.weights for one in found])
        weighed, plain = rows.unit(weights * self._rarity(rows.buckets)), rows.unit(weights)
        margins = self.linear.scores_of(rows, rows.matrix(csr, weighed)) * SHARPNESS
        likelihoods = self.bayes.scores_of(rows, rows.matrix(csr, plain), rows.sums(plain))
        opinions = log_softmax(np.stack([margins, likelihoods], 1))
        mixed = self.mixture.mixed(opinions)
        values = zip(found, rows.split(weighed), rows.split(plain), strict=True)
        return [Look(*one, opinions[number], mixed[number]) for number, one in enumerate(values)]

    def train(self, one: Labelled) -> None:
        """Train on a feedback."""
        look, buckets = one.look, one.look.terms.buckets
        self.bayes.learn(Example(buckets, look.plain, one.concept, one.weight))
        self.linear.learn(_example(one))
        self.frequencies[buckets] += 1
        self.seen += 1

    def train_all(self, csr: Csr, labelled: Sequence[Labelled]) -> None:
        """Train on several as `train` does on one after the other, but for how sums are rounded."""
        rows = Rows([one.look.terms.buckets for one in labelled])
        weights = np.array([one.weight for one in labelled], np.float32)
        counted = np.concatenate([one.look.plain for one in labelled]) * rows.spread(weights)
        self.bayes.learn_all(rows, counted, np.array([one.concept for one in labelled]))
        self.linear.learn_all(csr, [_example(one) for one in labelled])
        self.frequencies += np.bincount(rows.buckets, minlength=len(self.frequencies))
        self.seen += len(labelled)

    def add_concept(self) -> None:
        """Begin a concept."""
        self.linear.add_column()
        self.bayes.add_column()

    def untrain(self, one: Labelled) -> None:
        """Take back what was trained, as far as that is known; concept 0 is of what is not."""
        self.linear.forget([one.number])
        if one.concept:
            buckets, plain = one.look.terms.buckets, one.look.plain
            self.bayes.learn(Example(buckets, plain, one.concept, -one.weight))

    def deny(self, look: Look, concept: int) -> bool:
        """Return whether naive Bayes is sure of another concept, where it is a judge to be heard."""
        if self.mixture.weights[BAYES] < FAIR:
            return False
        return self.bayes.contradicts(look.opinions[BAYES], concept, float(look.plain.sum()))

    def _rarity(self, buckets: NDArray[np.int64]) -> Floats:
        """Return what terms weigh by how few contexts have them."""
        rarity = np.log((1 + self.seen) / (1 + self.frequencies[buckets])) + COMMON
        return np.sqrt(np.maximum(rarity, COMMON))


def _example(one: Labelled) -> Example:
    look = one.look
    return Example(look.terms.buckets, look.weighed, one.concept, one.weight, one.number)


def unit(values: Floats) -> Floats:
    """Return a vector of length 1; an empty one as it is."""
    return (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)
