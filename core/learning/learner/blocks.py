"""Learning in blocks: much feedback at once, in less time than it takes one after the other.

All is learnt as `Learner` does it and in its order, with one difference: what is in a block is answered, and so
judged, before any of the block is trained, as though feedback had come a little later. A block is a
hundredth of what was learnt before it at most, so that answers hardly differ.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from core.errors import ConflictError, InvalidInputError
from core.learning.context import digest_of_checked
from core.learning.learner.experts import Labelled, Look
from core.learning.learner.learner import Learner
from core.learning.learner.model import Model
from core.learning.learner.neighbours import Found, Neighbours
from core.learning.learner.rows import Csr
from core.learning.learner.terms import Terms, terms
from core.learning.patterns import CAPACITY, Pattern

MOST = 512  # feedbacks of a block
PART = 100  # blocks that were learnt before it, at least
LEAST = 8  # feedbacks: below that, one after the other is sooner done


class _Read(NamedTuple):
    """A feedback whose context was read."""

    pattern: Pattern
    digest: bytes
    terms: Terms


class _Unindexed(Neighbours):
    """The terms of patterns: an index is made of them all at once, with the model."""

    def add(self, number: int, words: Iterable[str]) -> None:
        self._words[number] = tuple(map(sys.intern, words))

    def remove(self, number: int) -> None:
        self._words.pop(number, None)

    def find(self, words: Mapping[str, int], most: int) -> list[Found]:
        del words, most
        return []


class BlockLearner(Learner):
    """A learner that is to be taught much. `csr` is scipy's `csr_array`.

    It predicts as any other; which patterns speak for an answer is known when there is a model of it.
    """

    def __init__(self, csr: Csr, model: Model | None = None, capacity: int = CAPACITY) -> None:
        super().__init__(model, capacity)
        self._neighbours = _Unindexed()
        self._csr = csr
        self._untrained: list[Labelled] | None = None  # of a block; None: each is trained at once

    def learn_all(self, patterns: Sequence[Pattern]) -> int:
        """Take feedback in its order; return how much was refused."""
        read = [one for one in map(_read, patterns) if one]
        refused, at = len(patterns) - len(read), 0
        while at < len(read):
            size = min(MOST, self._experts.seen // PART)
            if size < LEAST:
                refused += super().learn_all([read[at].pattern])
                at += 1
            else:
                taken, of_it = self._learn_block(read[at : at + size])
                at, refused = at + taken, refused + of_it
        return refused

    def _learn_block(self, read: Sequence[_Read]) -> tuple[int, int]:
        """Take feedback, the last that which begins a concept; return how much, and how much of it was refused."""
        looks = self._experts.looks(self._csr, [one.terms for one in read])
        concepts, refused, taken = len(self._concepts), 0, 0
        self._untrained = []
        for one, look in zip(read, looks, strict=True):
            if len(self._concepts) > concepts:  # of which the other looks know nothing
                break
            taken += 1
            try:
                if self._said_again(one.digest, one.pattern) is None:
                    self._take(look, one.digest, one.pattern)
            except ConflictError:
                refused += 1
        self._flush()
        self._untrained = None
        return taken, refused

    def _train(self, one: Labelled) -> None:
        if self._untrained is None:
            super()._train(one)
        else:
            self._untrained.append(one)

    def _begin(self, action: str) -> int:
        self._flush()
        return super()._begin(action)

    def _unlearn(self, look: Look, number: int, action: str, weight: float) -> None:
        self._flush()
        super()._unlearn(look, number, action, weight)

    def _flush(self) -> None:
        """Train on what waits for it."""
        if self._untrained:
            self._experts.train_all(self._csr, self._untrained)
            self._untrained = []


def _read(pattern: Pattern) -> _Read | None:
    """Return a feedback with its context read; None where that is refused."""
    try:
        found = terms(pattern.context)
        return _Read(pattern, digest_of_checked(pattern.context), found)
    except InvalidInputError:
        return None
