"""Neighbours: the kept patterns whose exact terms are most like a context's, by TF-IDF and cosine.

An inverted index: for each term the numbers of the patterns that have it. Two parts answer as one. The
frozen part is a model's arrays, fitted by scikit-learn; the recent part is what came since, visible at once.
A term that no model knows weighs by the recent part alone; before the first model all weigh 1.

The rarest terms are looked up first, and only so many entries are read: a term of half of all
patterns says little, and reading it would take time that grows with them.
"""

import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Floats

READ = 8_000  # entries for one answer
READ_OF_A_TERM = 2_000  # the newest of it

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frozen:
    """The fitted part: `entries[starts[t]:starts[t + 1]]` are the patterns of term t, rising.

    `numbers` are the patterns' own, by entry; `norms` the lengths of their vectors.
    """

    vocabulary: Mapping[str, int]
    idf: Floats
    starts: Numbers
    entries: NDArray[np.int32]
    numbers: Numbers
    norms: Floats

    @classmethod
    def empty(cls) -> "Frozen":
        """Return the index of no patterns."""
        none, nowhere = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls({}, none, np.zeros(1, np.int64), np.zeros(0, np.int32), nowhere, none)


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern's number, and how like the context it is: 0 to 1."""

    number: int
    likeness: float


class Neighbours:
    """The index of one task's patterns."""

    def __init__(self, frozen: Frozen | None = None) -> None:
        self._frozen = frozen or Frozen.empty()
        self._places = {int(number): place for place, number in enumerate(self._frozen.numbers)}
        self._alive = np.ones(len(self._frozen.numbers), np.bool_)
        self._clear()

    def _clear(self) -> None:
        self._recent: dict[str, array[int]] = {}
        self._words: dict[int, tuple[str, ...]] = {}
        self._numbers, self._norms, self._dead = array("q"), array("d"), 0
        self.size_bytes = 0  # about, of the exact terms of what is recent

    def add(self, number: int, words: Iterable[str]) -> None:
        """Add a pattern with its exact terms."""
        place = len(self._numbers)
        self._words[number] = kept = tuple(map(sys.intern, words))  # many have the same
        self.size_bytes += _bytes(kept)
        for word in kept:
            self._recent.setdefault(word, array("i")).append(place)
        self._numbers.append(number)
        self._norms.append(math.sqrt(sum(self._idf(word) ** 2 for word in kept)) or 1.0)

    def words(self, number: int) -> tuple[str, ...]:
        """Return the exact terms of a recent pattern. Raises KeyError."""
        return self._words[number]

    def remove(self, number: int) -> None:
        """Show a pattern no more. Its place is used again when half of all are free."""
        if (words := self._words.pop(number, None)) is None:
            self._alive[self._places[number]] = False
            return
        self.size_bytes -= _bytes(words)
        self._dead += 1
        if self._dead > len(self._words):
            kept = self._words
            self._clear()
            for one, words in kept.items():
                self.add(one, words)

    def find(self, words: Mapping[str, int], most: int) -> list[Found]:
        """Return the patterns most like these terms, the likest first."""
        weighed = sorted(((self._idf(word), word) for word in words), reverse=True)
        length = math.sqrt(sum(idf * idf for idf, _ in weighed))
        places, gains = self._read(weighed)
        touched = _distinct(places)
        likeness = np.bincount(places, gains)[touched] / (length * self._norm(touched))
        return list(islice(self._alive_ones(touched, likeness, most), most))

    def _alive_ones(
        self, places: Numbers, likeness: NDArray[np.float64], most: int
    ) -> Iterator[Found]:
        """Yield the likest first, in rounds: it is rare that many of them were removed."""
        while len(places):
            many = min(2 * most, len(places))
            best = np.argpartition(-likeness, many - 1)[:many]
            for one in best[np.lexsort((-places[best], -likeness[best]))]:
                if (number := self._number(int(places[one]))) is not None:
                    yield Found(number, min(1.0, float(likeness[one])))
            places, likeness = np.delete(places, best), np.delete(likeness, best)

    def _read(self, weighed: list[tuple[float, str]]) -> tuple[Numbers, NDArray[np.float64]]:
        """Return the entries of the rarest terms, and what each adds to a pattern's product."""
        parts: list[Numbers] = []
        gains: list[float] = []
        left = READ
        for idf, word in weighed:
            for part in self._entries(word):
                parts.append(part)
                gains.append(idf * idf)
                left -= len(part)
            if left <= 0:
                break
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0)
        return np.concatenate(parts), np.repeat(gains, [len(part) for part in parts])

    def _entries(self, word: str) -> list[Numbers]:
        """Return a term's newest patterns by their places: frozen ones first, then recent ones."""
        found: list[Numbers] = []
        if (recent := self._recent.get(word)) is not None:
            found.append(np.array(recent[-READ_OF_A_TERM:], np.int64) + len(self._frozen.numbers))
        if (term := self._frozen.vocabulary.get(word)) is not None:
            start, end = self._frozen.starts[term : term + 2]
            found.append(
                self._frozen.entries[max(start, end - READ_OF_A_TERM) : end].astype(np.int64)
            )
        return found

    def _idf(self, word: str) -> float:
        """Return the model's idf; of a term it does not know the largest there can be, or 1."""
        term = self._frozen.vocabulary.get(word)
        if term is not None:
            return float(self._frozen.idf[term])
        return 1 + math.log(1 + len(self._frozen.numbers))

    def _norm(self, places: Numbers) -> NDArray[np.float64]:
        old, norms = len(self._frozen.numbers), np.empty(len(places))
        recent = places >= old
        norms[~recent] = self._frozen.norms[places[~recent]]
        norms[recent] = np.array(self._norms)[places[recent] - old]
        return norms

    def _number(self, place: int) -> int | None:
        """Return the number of the pattern at a place, None where it was removed."""
        old = len(self._frozen.numbers)
        if place < old:
            return int(self._frozen.numbers[place]) if self._alive[place] else None
        number = self._numbers[place - old]
        return number if number in self._words else None


def _distinct(places: Numbers) -> Numbers:
    """Return each place once, without a sort and without a look at all places there are."""
    if not len(places):
        return places
    entries, last = np.arange(len(places)), np.empty(places.max() + 1, np.int64)
    last[places] = entries  # of a place that comes again the last entry stays
    return places[last[places] == entries]


def _bytes(words: Iterable[str]) -> int:
    """Return about how much memory terms take, with their entries, that no other pattern has."""
    return sum(100 + 2 * len(word) for word in words)
