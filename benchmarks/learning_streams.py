"""Streams of real decisions, answered prequentially: predict, then see the feedback.

Events that were decided together (a group) are all answered before any feedback on them is seen.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.learning.learner import Learner
from core.learning.patterns import Kind, Pattern, Source

DATA = Path(__file__).parent / "data"
FIELDS, INTENTS = "openaddresses_field_mapping.jsonl.gz", "clinc150.jsonl.gz"
OUT_OF_SCOPE = "oos"
USERS = 20  # who give the feedback
NOISE = 0.2  # of the feedback that is wrong
MOVED = 0.3  # of the actions that change meaning
PRECISION = 0.95
BINS = 15  # of the calibration error

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Event:
    """A decision: what was known, what was right, and which events were decided with it."""

    context: Mapping[str, Any]
    action: str
    group: str
    said: str  # what the feedback says, which may be wrong


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: an action or none, how surely, and whether that is below what was asked."""

    action: str | None
    confidence: float = 0.0
    abstains: bool = False


class Student(Protocol):
    """What answers and learns."""

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Answer a context."""
        ...

    def learn(self, event: Event) -> None:
        """Take the feedback on it."""
        ...


class Ours:
    """The learner of core.learning."""

    def __init__(self, learner: Learner | None = None) -> None:
        self.learner = learner or Learner()

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Recommend."""
        found = self.learner.recommend(context, most=1, precision=PRECISION)
        if not found.actions:
            return Answer(None, abstains=True)
        return Answer(found.actions[0].action, found.actions[0].confidence, found.abstain)

    def learn(self, event: Event) -> None:
        """Take a user's word; one user decided what was decided together."""
        source = Source(Kind.USER, f"user {zlib.crc32(event.group.encode()) % USERS}")
        self.learner.learn(Pattern(event.context, event.said, source))


@dataclass(frozen=True, slots=True)
class Run:
    """How a stream went, event by event."""

    right: Floats
    confidence: Floats
    answered: Floats

    @property
    def accuracy(self) -> float:
        """The share that was right, in percent: the area under the learning curve."""
        return 100 * float(self.right.mean())

    def last(self, end: int, many: int) -> float:
        """Return the accuracy of the last events before one, in percent."""
        return 100 * float(self.right[max(0, end - many) : end].mean())

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, over bins of equal width."""
        bins = np.minimum((self.confidence * BINS).astype(int), BINS - 1)
        gaps = np.bincount(bins, self.confidence - self.right, BINS)
        return float(np.abs(gaps).sum() / len(self.right))

    @property
    def coverage(self) -> tuple[float, float]:
        """The share answered at the asked precision, and the precision that these had."""
        answered = self.answered > 0
        return float(answered.mean()), float(self.right[answered].mean()) if answered.any() else 0.0


def run(
    events: Sequence[Event], student: Student, after: Callable[[int], None] | None = None
) -> Run:
    """Answer a stream and learn from it; `after` is called with the number of events so far."""
    answers: list[Answer] = []
    for _, together in groupby(events, lambda event: event.group):
        group = list(together)
        answers += [student.answer(event.context) for event in group]
        for event in group:
            student.learn(event)
        if after:
            after(len(answers))
    return Run(
        np.array([a.action == e.action for a, e in zip(answers, events, strict=True)], float),
        np.array([answer.confidence for answer in answers]),
        np.array([not answer.abstains for answer in answers], float),
    )


def fields(folder: Path, most: int) -> list[Event]:
    """Return the distinct decisions of OpenAddresses in time order: moved files recur as new."""
    rows = (row for row in _rows(folder / FIELDS) if row["kind"] == "new")
    distinct = {
        json.dumps([row["context"], row["action"]], sort_keys=True): row for row in _first(rows)
    }
    events = [
        Event(row["context"], row["action"], row["group"], row["action"])
        for row in distinct.values()
    ]
    return events[:most]


def _first(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        key = json.dumps([row["context"], row["action"]], sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield row


def intents(folder: Path, seed: int, most: int) -> list[Event]:
    """Return requests of CLINC150 in an order of this seed, without those out of scope."""
    rows = [row for row in _rows(folder / INTENTS) if row["action"] != OUT_OF_SCOPE]
    random.Random(seed).shuffle(rows)
    return [
        Event(row["context"], row["action"], str(number), row["action"])
        for number, row in enumerate(rows[:most])
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise SystemExit(f"{path} is missing; --data names a folder that has it")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def noisy(events: Sequence[Event], seed: int, *, one: bool) -> list[Event]:
    """Return the stream with a fifth of its feedback wrong: at random, or all naming one action."""
    draw, actions = random.Random(seed), sorted({event.action for event in events})
    chosen = draw.choice(actions)
    return [
        Event(e.context, e.action, e.group, (chosen if one else draw.choice(actions)))
        if draw.random() < NOISE
        else e
        for e in events
    ]


def drifting(events: Sequence[Event], seed: int) -> list[Event]:
    """Return the stream with three tenths of its actions changing places in the middle."""
    actions = sorted({event.action for event in events})
    moved = random.Random(seed).sample(actions, max(2, round(MOVED * len(actions))))
    places = dict(zip(moved, [*moved[1:], moved[0]], strict=True))
    half = len(events) // 2
    after = [
        Event(e.context, now := places.get(e.action, e.action), e.group, now) for e in events[half:]
    ]
    return [*events[:half], *after]
