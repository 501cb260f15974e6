"""The pointer: which model a task answers with now, which others and which feedback there are.

One small object a task, sealed. Its sequence rises with every change, so a roll-back is one write of
a pointer that names an earlier version under a higher sequence, and an old pointer that somebody
puts back is refused by whoever has seen a newer one.

    {"sequence": 7, "version": 3, "generation": 0, "versions": [...], "segments": [...], "evaluations": [...]}
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, TypeVar

from core.json_text import compact_bytes
from core.learning import checks

KEPT_VERSIONS = 5
MOST_SEGMENTS = 1_000
MOST_EVALUATIONS = 200
MOST_BYTES = 1 << 20

T = TypeVar("T", bound="_Row")


class UnreadablePointerError(ValueError):
    """This is no pointer of this version of Crewline."""


class _Row:
    """A dataclass of whole numbers and texts, as a JSON object."""

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return what an object says. Raises ValueError."""
        kinds: dict[str, Any] = {field.name: field.type for field in fields(cls)}  # pyright: ignore[reportArgumentType]
        checks.members(value, set(kinds))
        for name, kind in kinds.items():
            (checks.whole if kind is int else checks.text)(value[name])
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Version(_Row):
    """A model: its number, up to which feedback it has learnt, and when it was made (ms since 1970)."""

    version: int
    position: int
    made_ms: int
    patterns: int  # kept
    left_out: int  # feedback that there was no time for, the oldest


@dataclass(frozen=True, slots=True)
class Segment(_Row):
    """Feedback from one number to another, in an object of this name and so many bytes."""

    name: str
    first: int
    last: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Evaluation(_Row):
    """A candidate against the model of its time, on feedback that neither had seen.

    Of `events`, each had so many right. `ece_ppm` is the candidate's calibration error in millionths,
    `answered` how many it was sure of at 95 %. `published` is 1 where it was not worse.
    """

    version: int
    at_ms: int
    events: int
    right: int
    current_right: int
    ece_ppm: int
    answered: int
    published: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a task has in the object store. Version 0 is of nothing learnt.

    A `generation` ends when feedback is taken away: segments of an earlier one hold what was to go. `garbage` are
    what the pointer before this one named last, objects or (with a slash at the end) folders: to be removed, if
    they still are there.
    """

    sequence: int = 0
    version: int = 0
    generation: int = 0
    versions: tuple[Version, ...] = ()
    segments: tuple[Segment, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    garbage: tuple[str, ...] = ()

    @property
    def position(self) -> int:
        """The number of the last feedback that the model has learnt."""
        return next((one.position for one in self.versions if one.version == self.version), 0)

    @property
    def stored(self) -> int:
        """The number of the last feedback that is in a segment."""
        return self.segments[-1].last if self.segments else 0

    def next(self, **changes: Any) -> "Pointer":
        """Return the pointer after this one, with what it names no more as its garbage."""
        new = replace(self, sequence=self.sequence + 1, **changes)
        garbage = self.names() - new.names()
        if new.generation != self.generation:  # also what nobody ever named
            garbage = {f"{kind}/{self.generation}/" for kind in ("models", "segments")}
        return replace(new, garbage=tuple(sorted(garbage)))

    def names(self) -> set[str]:
        """Return the objects that it names."""
        models = {f"models/{self.generation}/{one.version}" for one in self.versions}
        return models | {f"segments/{one.name}" for one in self.segments}

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return compact_bytes(asdict(self))


def from_bytes(data: bytes) -> Pointer:
    """Return the pointer. Raises UnreadablePointerError."""
    try:
        found = checks.members(json.loads(data), {field.name for field in fields(Pointer)})
        pointer = Pointer(
            checks.whole(found["sequence"]),
            checks.whole(found["version"]),
            checks.whole(found["generation"]),
            _rows(found["versions"], Version, KEPT_VERSIONS),
            _rows(found["segments"], Segment, MOST_SEGMENTS),
            _rows(found["evaluations"], Evaluation, MOST_EVALUATIONS),
            tuple(checks.texts(found["garbage"])),
        )
        checks.need(not pointer.version or pointer.version in {v.version for v in pointer.versions})
    except (ValueError, RecursionError) as error:
        raise UnreadablePointerError("the pointer is of another version, or damaged") from error
    return pointer


def _rows(value: Any, kind: type[T], most: int) -> tuple[T, ...]:
    checks.need(len(checks.items(value)) <= most)
    return tuple(kind.of(one) for one in value)
