"""Patterns: what is kept of feedback. Who said it decides how much it counts.

A source has one word on a context: saying it again changes nothing but its age, saying something else
replaces it. Words of several sources on one context are heard in turn, and each counts for what its source is
sure of (`Memory.shares`). What is kept is bounded; what was neither said nor used for the longest time is forgotten
first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from core.errors import InvalidInputError

CAPACITY = 100_000  # patterns of one task
FORGOTTEN = 0.05  # of them at once, so that looking for the oldest is rare
HALF, LEAST = 0.5, 1e-6  # of the say on a context: what holds has more; less is as good as none
MAX_ACTION_BYTES = 256
MAX_SOURCE_BYTES = 128


class Kind(StrEnum):
    """Who says that an action was right."""

    USER = "user"
    OUTCOME = "outcome"
    AGENT = "agent"


WEIGHTS = {Kind.USER: 1.0, Kind.OUTCOME: 0.5, Kind.AGENT: 0.25}
HEARD_LAST = (Kind.USER, Kind.OUTCOME, Kind.AGENT)  # of words on the very same context


@dataclass(frozen=True, slots=True)
class Source:
    """Who said it: a user's id, a crew's or an agent's name."""

    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Feedback: in this context, this action was right.

    `confidence`, 0 to 1, is how sure its source is; `at` is when, in seconds since 1970.
    """

    context: Mapping[str, Any]
    action: str
    source: Source = Source(Kind.USER)
    confidence: float = 1.0
    at: float = 0.0

    def __post_init__(self) -> None:
        """Raise InvalidInputError for what cannot be kept."""
        _check_text("action", self.action, 1, MAX_ACTION_BYTES)
        _check_text("source", self.source.name, 0, MAX_SOURCE_BYTES)
        if not 0 <= self.confidence <= 1:  # NaN is refused, too
            raise _refused("confidence", "must be 0 to 1")
        if not 0 <= self.at < 2**53:
            raise _refused("at", "must be seconds since 1970")

    @property
    def weight(self) -> float:
        """How much it counts, 0 to 1."""
        return WEIGHTS[self.source.kind] * self.confidence


@dataclass(frozen=True, slots=True)
class Kept:
    """A pattern in memory, under its number; `used` is the tick of when it was last said or used.

    `weight` is what it weighs with the experts, `confidence` how sure its source is.
    """

    number: int
    digest: bytes
    action: str
    source: Source
    weight: float
    used: int
    confidence: float = 1.0


class Memory:
    """The patterns that are kept, by number and by whose word on which context they are."""

    def __init__(self, kept: Iterable[Kept] = (), capacity: int = CAPACITY) -> None:
        self._kept = {one.number: one for one in kept}
        self._numbers = {(one.digest, one.source): one.number for one in self._kept.values()}
        self._by_context: dict[bytes, list[int]] = {}
        for one in self._kept.values():
            self._by_context.setdefault(one.digest, []).append(one.number)
        self._capacity = capacity
        self._next = max(self._kept, default=-1) + 1
        self._tick = max((one.used for one in self._kept.values()), default=0)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def __contains__(self, number: int) -> bool:
        """Whether the pattern is still kept."""
        return number in self._kept

    def __getitem__(self, number: int) -> Kept:
        """Return a pattern. Raises KeyError."""
        return self._kept[number]

    def word(self, digest: bytes, source: Source) -> Kept | None:
        """Return what a source said last of a context."""
        number = self._numbers.get((digest, source))
        return None if number is None else self._kept[number]

    def shares(self, digest: bytes) -> dict[str, float]:
        """Return by action how much of the say it has on exactly this context, together at most 1.

        Words are heard from agents' to outcomes' to people's, and of these from the oldest to the newest. Each
        takes the share that its source is sure of from all before it: a sure word leaves them nothing,
        one of 0.3 leaves them 0.7 of what they had.
        """
        shares: dict[str, float] = {}
        left = 1.0
        for one in self._last_heard(digest):
            shares[one.action] = shares.get(one.action, 0.0) + left * one.confidence
            left *= 1 - one.confidence
            if left < LEAST:
                break
        return shares

    def said(self, digest: bytes) -> Kept | None:
        """Return the word that holds on exactly this context, if an action has more than half of the say.

        It is the one of that action that was heard last.
        """
        shares = self.shares(digest)
        best = max(shares, key=shares.__getitem__, default=None)
        if best is None or shares[best] <= HALF:
            return None
        words = (one for one in self._last_heard(digest) if one.confidence > 0)
        return next(one for one in words if one.action == best)

    def _last_heard(self, digest: bytes) -> Iterator[Kept]:
        """Yield the words on a context, from that which is heard last to that which is heard first."""
        words = [self._kept[number] for number in self._by_context.get(digest, ())]  # oldest first
        for kind in HEARD_LAST:
            yield from (one for one in reversed(words) if one.source.kind is kind)

    def keep(
        self, digest: bytes, action: str, source: Source, weight: float, confidence: float = 1.0
    ) -> tuple[Kept, list[Kept]]:
        """Keep a word; return it, and what had to go for it: the same source's last, the forgotten."""
        gone = [before] if (before := self.word(digest, source)) else []
        for one in gone:
            self._drop(one)
        self._tick += 1
        kept = Kept(self._next, digest, action, source, weight, self._tick, confidence)
        self._next += 1
        self._kept[kept.number] = kept
        self._numbers[digest, source] = kept.number
        self._by_context.setdefault(digest, []).append(kept.number)
        return kept, gone + self._make_room()

    def remove(self, number: int) -> None:
        """Keep a word no more."""
        self._drop(self._kept[number])

    def use(self, number: int) -> None:
        """Remember that a pattern spoke for an answer, or was said again."""
        if number in self._kept:
            self._tick += 1
            self._kept[number] = replace(self._kept[number], used=self._tick)

    def __iter__(self) -> Iterator[Kept]:
        """Go through all that is kept, in the order of their numbers."""
        return iter(sorted(self._kept.values(), key=lambda one: one.number))

    def forget(self, many: int) -> list[Kept]:
        """Forget so many patterns, those that were neither said nor used for the longest time; return them."""
        oldest = sorted(self._kept.values(), key=lambda one: one.used)[:many]
        for one in oldest:
            self._drop(one)
        return oldest

    def _make_room(self) -> list[Kept]:
        if len(self._kept) <= self._capacity:
            return []
        many = max(1, int(self._capacity * FORGOTTEN), len(self._kept) - self._capacity)
        return self.forget(many)

    def _drop(self, one: Kept) -> None:
        del self._kept[one.number]
        del self._numbers[one.digest, one.source]
        numbers = self._by_context[one.digest]
        numbers.remove(one.number)
        if not numbers:
            del self._by_context[one.digest]


def _check_text(name: str, text: str, least: int, most: int) -> None:
    fits = isinstance(text, str) and least <= len(text.encode("utf-8", "replace")) <= most  # pyright: ignore[reportUnnecessaryIsInstance]
    if not fits or "\n" in text:  # they are kept as lines
        raise _refused(name, f"must be one line of {least} to {most} bytes")


def _refused(name: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"the feedback is refused: {name} {why}", {f"/{name}": why})
