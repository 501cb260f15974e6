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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Floats

READ = 8_000  # entries for one answer
READ_OF_A_TERM = 2_000  # the newest of it

UNKNOWN = -1  # number of a term that the model does not know

Numbers = NDArray[np.int64]
Places = NDArray[np.int32]


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


class Found(NamedTuple):
    """A pattern's number, and how like the context it is: 0 to 1."""

    number: int
    likeness: float


class Neighbours:
    """The index of one task's patterns."""

    def __init__(self, frozen: Frozen | None = None) -> None:
        self._frozen = frozen or Frozen.empty()
        numbers = self._frozen.numbers.tolist()
        self._places = dict(zip(numbers, range(len(numbers)), strict=True))
        self._old_numbers, self._old_norms = numbers, self._frozen.norms.copy()
        self._idfs, self._starts = self._frozen.idf.data, self._frozen.starts.data
        self._unknown_idf = 1 + math.log(1 + len(numbers))
        self._last = np.empty(len(numbers), np.int32)  # see `_sums`
        self._clear()

    def _clear(self) -> None:
        self._recent: dict[str, array[int]] = {}
        self._words: dict[int, tuple[str, ...]] = {}
        self._recent_places: dict[int, int] = {}
        self._numbers, self._norms, self._dead = array("q"), array("d"), 0
        self.size_bytes = 0  # about, of the exact terms of what is recent

    def add(self, number: int, words: Iterable[str]) -> None:
        """Add a pattern with its exact terms."""
        place = len(self._numbers)
        self._words[number] = kept = tuple(map(sys.intern, words))  # many have the same
        self.size_bytes += _bytes(kept)
        for word in kept:
            self._recent.setdefault(word, array("i")).append(place)
        self._recent_places[number] = place
        self._numbers.append(number)
        self._norms.append(math.sqrt(sum(self._idf(word) ** 2 for word in kept)) or 1.0)

    def words(self, number: int) -> tuple[str, ...]:
        """Return the exact terms of a recent pattern. Raises KeyError."""
        return self._words[number]

    def remove(self, number: int) -> None:
        """Show a pattern no more: what is infinitely long is like nothing.

        The place of a recent one is used again when half of all are free.
        """
        if (words := self._words.pop(number, None)) is None:
            self._old_norms[self._places[number]] = math.inf
            return
        self._norms[self._recent_places.pop(number)] = math.inf
        self.size_bytes -= _bytes(words)
        self._dead += 1
        if self._dead > len(self._words):
            kept = self._words
            self._clear()
            for one, words in kept.items():
                self.add(one, words)

    def find(self, words: Mapping[str, int], most: int) -> list[Found]:
        """Return the patterns most like these terms, the likest first."""
        weighed = sorted((self._weighed(word) for word in words), reverse=True)
        length = math.sqrt(sum(idf * idf for idf, _, _ in weighed))
        places, products = self._sums(*self._read(weighed))
        likeness = products / (length * self._norm(places))
        best = _best(places, likeness, most)
        found = zip(places[best].tolist(), likeness[best].tolist(), strict=True)
        return [Found(self._number(place), min(1.0, like)) for place, like in found if like > 0]

    def _read(self, weighed: list[tuple[float, str, int]]) -> tuple[Places, NDArray[np.float64]]:
        """Return the entries of the rarest terms, and what each adds to a pattern's product."""
        parts: list[Places] = []
        gains: list[float] = []
        left = READ
        for idf, word, term in weighed:
            for part in self._entries(word, term):
                parts.append(part)
                gains.append(idf * idf)
                left -= len(part)
            if left <= 0:
                break
        if not parts:
            return np.zeros(0, np.int32), np.zeros(0)
        return np.concatenate(parts), np.repeat(gains, [len(part) for part in parts])

    def _entries(self, word: str, term: int) -> Iterator[Places]:
        """Yield a term's newest patterns by their places: recent ones, then frozen ones."""
        if (recent := self._recent.get(word)) is not None:
            newest = np.array(recent[-READ_OF_A_TERM:], np.int32)
            yield newest + np.int32(len(self._frozen.numbers))
        if term != UNKNOWN:
            start, end = self._starts[term], self._starts[term + 1]
            yield self._frozen.entries[max(start, end - READ_OF_A_TERM) : end]

    def _sums(self, places: Places, gains: NDArray[np.float64]) -> tuple[Places, NDArray[Any]]:
        """Return each place once, with the sum of its gains; in time that grows with these alone.

        Each entry leaves its number at its place, in room that is never cleared: of a place that comes
        again the last entry stays, and stands for all of it.
        """
        if len(self._last) < (there := len(self._frozen.numbers) + len(self._numbers)):
            self._last = np.empty(2 * there, np.int32)
        entries = np.arange(len(places), dtype=np.int32)
        self._last[places] = entries
        last = self._last[places]
        firsts = last == entries
        return places[firsts], np.bincount(last, gains, len(places))[firsts]

    def _weighed(self, word: str) -> tuple[float, str, int]:
        """Return a term with its idf and its number in the model."""
        term = self._frozen.vocabulary.get(word, UNKNOWN)
        return self._unknown_idf if term == UNKNOWN else self._idfs[term], word, term

    def _idf(self, word: str) -> float:
        """Return the model's idf; of a term it does not know the largest there can be, or 1."""
        return self._weighed(word)[0]

    def _norm(self, places: Places) -> NDArray[np.float64]:
        old, norms = len(self._frozen.numbers), np.empty(len(places))
        recent = places >= old
        norms[~recent] = self._old_norms[places[~recent]]
        norms[recent] = np.frombuffer(self._norms)[places[recent] - old]
        return norms

    def _number(self, place: int) -> int:
        old = len(self._frozen.numbers)
        return self._old_numbers[place] if place < old else self._numbers[place - old]


def _best(places: Places, likeness: NDArray[np.float64], most: int) -> Numbers:
    """Return where the likest are, the newest of equals first."""
    best = np.arange(len(places))
    if len(best) > 2 * most:  # twice as many, since some are as like as the last one
        best = np.argpartition(-likeness, 2 * most)[: 2 * most]
    return best[np.lexsort((-places[best], -likeness[best]))][:most]


def _bytes(words: Iterable[str]) -> int:
    """Return about how much memory terms take, with their entries, that no other pattern has."""
    return sum(100 + 2 * len(word) for word in words)
