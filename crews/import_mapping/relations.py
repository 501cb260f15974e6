"""How columns of one file hang together, read off the rows that all samples share.

Registers repeat themselves: FULLADDR says again what ADDRNUM and FULLNAME say, and FULLNAME what
STREET_NAME and STREET_TYPE say. A column whose words are nearly all said by two or more others
is a composite of them.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from crews.import_mapping.cpu_limit import check_cpu_limit
from crews.import_mapping.evidence import Column
from crews.import_mapping.names import words

COVERED = 0.75
STANDS_WITHIN = 0.8
REPEATED = 0.5
LANGUAGE_CODE = 2

Words = tuple[str, ...]


def composites(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """The columns that each composite is put together from; the shortest composite first."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        parts = [other for other in columns if other is not column and _within(other, column)]
        if len(parts) > 1 and _coverage(column, parts) >= COVERED:
            found[column.name] = parts
    return dict(sorted(found.items(), key=lambda entry: len(entry[1])))


def twins(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Pairs of columns whose names differ in a two-letter ending: name_fr, name_nl.

    The first of a pair is the first that is filled.
    """
    first: dict[Words, str] = {}
    for column in sorted(columns, key=lambda column: column.empty):
        *stem, ending = words(column.name) or [""]
        if stem and len(ending) == LANGUAGE_CODE and ending.isalpha():
            name = first.setdefault(tuple(stem), column.name)
            if name != column.name:
                yield name, column.name


def repeats(column: Column, other: Column) -> bool:
    """Whether most cells that the column fills say what the other's say, or stand within them."""
    pairs = [(mine, its) for mine, its in _rows(column, other) if mine]
    return bool(pairs) and _said(pairs) > REPEATED * len(pairs)


def _said(pairs: list[tuple[Words, Words]]) -> int:
    return sum(_place(mine, its) is not None for mine, its in pairs)


def _rows(column: Column, other: Column) -> list[tuple[Words, Words]]:
    check_cpu_limit()
    return [
        (_words(mine), _words(its)) for mine, its in zip(column.samples, other.samples, strict=True)
    ]


@lru_cache(10_000)
def _words(cell: str) -> Words:
    return tuple(cell.casefold().replace(",", " ").split())


def _within(part: Column, whole: Column) -> bool:
    """The part's words stand together in the whole, in most rows, and are not all of it."""
    pairs = [(mine, its) for mine, its in _rows(part, whole) if mine and its]
    less = [(mine, its) for mine, its in pairs if len(mine) < len(its)]
    return bool(pairs) and _said(less) >= STANDS_WITHIN * len(pairs)


def _place(mine: Words, its: Words) -> int | None:
    starts = range(len(its) - len(mine) + 1)
    return next((start for start in starts if its[start : start + len(mine)] == mine), None)


def _coverage(whole: Column, parts: Sequence[Column]) -> float:
    """Share of the whole's words that some part says."""
    check_cpu_limit()
    words = said = 0
    for row, cell in enumerate(whole.samples):
        its = _words(cell)
        words += len(its)
        said += len(set().union(*(_positions(_words(part.samples[row]), its) for part in parts)))
    return said / words if words else 0.0


def _positions(mine: Words, its: Words) -> set[int]:
    place = _place(mine, its) if mine else None
    return set() if place is None else set(range(place, place + len(mine)))
