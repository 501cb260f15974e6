"""What speaks for a column being a field, and what rules it out.

- The schema rules a column out when its values break type, range, pattern or uniqueness.
- The name speaks by how well it spells one of the field's names.
- The values speak by how many of them look like the schema's examples; both add up like
  independent witnesses (1 - (1 - name) x (1 - values)).
- An empty column has its name alone and counts less; so do whole numbers for a field of fractions.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crews.import_mapping.cpu_limit import check_cpu_limit
from crews.import_mapping.names import likeness
from crews.import_mapping.target import Field

Role = Literal["whole", "part"]
LOOKS_RIGHT = 0.6
NUMERIC_SHARE = 0.95
ALL_DIFFERENT = 0.98
VALUES_WEIGHT = 0.7
UNIQUE_WEIGHT = 0.5
EMPTY_WEIGHT = 0.75
WHOLE_WEIGHT = 0.6
COUNTED_UP_TO = 2_000  # a profile stops counting distinct values there
_CODE = re.compile(r"(?=.*\d)[\w.-]+( [\d-]+)*")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the profile as the reasoning needs it."""

    name: str
    rows: int
    empty_share: float
    distinct: int
    numeric_share: float
    range: tuple[float, float] | None
    integer: bool
    values: Mapping[str, int]  # the frequent ones with their counts, and the samples
    samples: tuple[str, ...]  # of the same rows in every column

    @property
    def empty(self) -> bool:
        return not self.values


@dataclass(frozen=True)
class Fit:
    """How a column could serve a field, how sure that is (0 to 1) and why."""

    field: str
    role: Role
    score: float
    reason: str


def column(profile: Mapping[str, Any], rows: int) -> Column:
    """Read one column of a profile's JSON. Raises KeyError or TypeError for another shape."""
    samples = tuple(str(sample) for sample in profile["samples"])
    frequent = {str(value): int(count) for value, count in profile["frequent"]}
    limits = profile["range"]
    return Column(
        name=str(profile["name"]),
        rows=rows,
        empty_share=float(profile["empty_share"]),
        distinct=int(profile["distinct"]),
        numeric_share=float(profile["numeric_share"]),
        range=(float(limits[0]), float(limits[1])) if limits else None,
        integer=bool(profile["integer"]),
        values={sample: 1 for sample in samples if sample} | frequent,
        samples=samples,
    )


def fit(column: Column, field: Field) -> Fit | None:
    """The best way the column serves the field, or None where the schema rules it out."""
    check_cpu_limit()
    if broken(column, field):
        return None
    whole = likeness(column.name, field.names, field.neutral)
    part = likeness(column.name, field.parts, field.neutral)
    alike = VALUES_WEIGHT * examples_share(column, field)
    if field.unique and whole < UNIQUE_WEIGHT and _identifies(column):
        return Fit(field.name, "whole", UNIQUE_WEIGHT, "every row has another value")
    score = (1 - (1 - max(whole, part)) * (1 - alike)) * _discount(column, field)
    role: Role = "part" if field.parts and part >= whole else "whole"
    return Fit(field.name, role, round(score, 2), _reason(max(whole, part), alike, role))


def broken(column: Column, field: Field) -> str | None:
    """The rule of the schema that the column's values break, in words; None if they keep all."""
    if column.empty:
        return None
    if field.numeric and column.numeric_share < NUMERIC_SHARE:
        return "its values are no numbers"
    if field.numeric and not _within(column, field.limits):
        return f"its values are not from {field.limits[0]:g} to {field.limits[1]:g}"
    if field.matches and _share(column, field.matches) < LOOKS_RIGHT:
        return f"its values do not look like {field.name}"
    if field.unique and not _unique(column):
        return "its values repeat"
    return None


def obstacle(column: Column, wanted: Sequence[Field]) -> tuple[str, float] | None:
    """Why a column does not serve the field that its name says, and how surely it says it."""
    named = ((likeness(column.name, field.names, field.neutral), field) for field in wanted)
    said, field = max(named, key=lambda pair: pair[0], default=(0.0, None))
    rule = broken(column, field) if field and said >= LOOKS_RIGHT else None
    return (f"its name says {field.name}, but {rule}", said) if field and rule else None


def examples_share(column: Column, field: Field) -> float:
    """Share of the values that are, or end in, one of the schema's examples.

    One value throughout the file is no evidence: "N" may be a flag as well as the north.
    """
    if not field.examples or column.distinct < 2:  # noqa: PLR2004 -- see above
        return 0.0
    return _share(column, lambda value: _alike(value, field))


def _alike(value: str, field: Field) -> bool:
    text = value.casefold()
    last = text.split()[-1]
    return (
        text in field.examples
        or last in field.examples
        or any(last[-length:] in field.examples for length in field.endings)
    )


def _discount(column: Column, field: Field) -> float:
    """What an empty column, or whole numbers where fractions are expected, take off."""
    whole_numbers = field.numeric and not field.integer and column.integer
    return (EMPTY_WEIGHT if column.empty else 1) * (WHOLE_WEIGHT if whole_numbers else 1)


def _within(column: Column, limits: tuple[float, float]) -> bool:
    low, high = column.range or (float("inf"), float("-inf"))
    return limits[0] <= low and high <= limits[1]


def _share(column: Column, holds: Callable[[str], object]) -> float:
    right = sum(count for value, count in column.values.items() if holds(value))
    return right / sum(column.values.values()) if column.values else 0.0


def _unique(column: Column) -> bool:
    filled = round(column.rows * (1 - column.empty_share))
    return column.distinct >= ALL_DIFFERENT * min(filled, COUNTED_UP_TO)


def _identifies(column: Column) -> bool:
    """Codes with a digit in them and no fraction: what a register numbers its rows with."""
    coded = _share(column, _CODE.fullmatch) == 1 and not column.empty_share
    return coded and column.rows > 1 and (column.integer or not column.numeric_share)


def _reason(name: float, alike: float, role: Role) -> str:
    heard = [
        f"its name says {'a part of ' if role == 'part' else ''}it" if name else "",
        "its values look like the examples" if alike else "",
    ]
    return " and ".join(filter(None, heard)) or "nothing speaks for it"
