"""What a CSV holds, column by column, in one pass and bounded memory.

The profile is what the agents see instead of the file. The samples of all columns come from the
same few rows, drawn evenly from the whole file, so that a reader can tell how columns hang
together: that FULLADDR says again what NUMBER and STREET say.
"""

import csv
import io
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from crews.import_mapping.decoding import (
    SAMPLE_CHARS,
    UNREADABLE,
    BadCsv,
    Dialect,
    detect_dialect,
    detect_encoding,
    table,
)
from crews.import_mapping.header import Body, is_blank
from crews.import_mapping.numerals import Numbers

SAMPLE_ROWS = 10
FREQUENT_VALUES = 6
DISTINCT_LIMIT = 2_000
CELL_CHARS = 60
NAME_CHARS = 200
COLUMN_LIMIT = 500
RAGGED_SHARE = 0.1
SPOOL_BYTES = 8 << 20


@dataclass(frozen=True)
class ColumnProfile:
    """One column; shares are of the rows (`numeric_share`: of the cells that are not empty)."""

    name: str
    empty_share: float
    distinct: int  # at most DISTINCT_LIMIT: counting stops there
    length: tuple[int, int]
    numeric_share: float
    range: tuple[float, float] | None
    integer: bool
    frequent: list[tuple[str, int]]
    samples: list[str]


@dataclass(frozen=True)
class Profile:
    """The whole file; `notes` says what had to be mended to read it."""

    encoding: str
    delimiter: str
    rows: int
    columns: list[ColumnProfile]
    notes: list[str]


def profile_csv(stream: BinaryIO) -> Profile:
    """Profile a CSV of any size. Raises BadCsv, one sentence that says what to do."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        return _profile(stream if stream.seekable() else _copy(stream, spool))


def _copy(stream: BinaryIO, spool: "tempfile.SpooledTemporaryFile[bytes]") -> BinaryIO:
    shutil.copyfileobj(stream, spool)
    return spool  # type: ignore[return-value] -- a file object in all but its base class


def _profile(stream: BinaryIO) -> Profile:
    encoding = detect_encoding(stream)
    text = io.TextIOWrapper(stream, encoding=encoding, errors=_errors(encoding), newline="")
    try:
        dialect = detect_dialect(_sample(text))
        found = _Table.read(table(text, dialect))
    except csv.Error as error:
        raise BadCsv(f"The file breaks off as a CSV ({error}); check its quotes.") from error
    except UnicodeError as error:
        raise BadCsv(f"The file breaks off as {encoding}; export it as CSV again.") from error
    finally:
        text.detach()
    return found.profile(encoding, dialect)


def _errors(encoding: str) -> str:
    """Say how bytes that are no text are met: in UTF-8, which most of the file is, they are shown as such."""
    return "replace" if encoding == "utf-8" else "strict"


def _sample(text: io.TextIOWrapper) -> str:
    sample = text.read(SAMPLE_CHARS + 1)
    text.seek(0)
    return sample


@dataclass
class _Column:
    """Running statistics of a column."""

    empty: int = 0
    shortest: int | None = None
    longest: int = 0
    filled: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    values: Counter[str] = field(default_factory=Counter)

    def add(self, cell: str) -> None:
        if not cell:
            self.empty += 1
            return
        self.filled += 1
        self.shortest = len(cell) if self.shortest is None else min(self.shortest, len(cell))
        self.longest = max(self.longest, len(cell))
        if cell[-1].isdigit():  # every number ends in a digit; most words are spared the trial
            self.numbers.add(cell)
        if (value := cell[:CELL_CHARS]) in self.values or len(self.values) < DISTINCT_LIMIT:
            self.values[value] += 1

    def profile(self, name: str, samples: list[str]) -> ColumnProfile:
        numbers, rows = self.numbers.best, self.empty + self.filled
        return ColumnProfile(
            name=name,
            empty_share=_share(self.empty, rows),
            distinct=len(self.values),
            length=(self.shortest or 0, self.longest),
            numeric_share=_share(numbers.count, self.filled),
            range=(numbers.low, numbers.high) if numbers.count else None,
            integer=bool(numbers.count) and numbers.integers,
            frequent=self.values.most_common(FREQUENT_VALUES),
            samples=samples,
        )


@dataclass
class _Table:
    """Running statistics of the file and a uniform sample of its rows (reservoir, Vitter 1985)."""

    names: list[str]
    notes: list[str]
    columns: list[_Column]
    rows: int = 0
    mended: int = 0
    ragged: int = 0  # of those mended: rows that look as if they were cut in the wrong places
    footer: int = 0
    unreadable: int = 0  # rows with bytes that are no text
    reservoir: list[tuple[int, list[str]]] = field(default_factory=list)

    @classmethod
    def read(cls, lines: Iterator[list[str]]) -> "_Table":
        names, notes = _header(next(lines, []))
        table = cls(names, notes, [_Column() for _ in names])
        draw = random.Random(0)  # noqa: S311 -- a repeatable sample, no secret
        body = Body(lines)
        for row in body:
            table._add(row, draw)
        table.footer = body.left_out
        table._refuse_if_hopeless()
        return table

    def _add(self, row: list[str], draw: random.Random) -> None:
        width = len(self.names)
        too_long = not is_blank(row[width:])  # Chase's rows end in a delimiter more than the header
        self.unreadable += any(UNREADABLE in cell for cell in row)
        self.mended += too_long or len(row) < width
        self.ragged += too_long or len(row) == 1  # Excel leaves empty cells at the end out
        cells = [cell.strip() for cell in row[:width]] + [""] * (width - len(row))
        for column, cell in zip(self.columns, cells, strict=True):
            column.add(cell)
        self._draw([cell[:CELL_CHARS] for cell in cells], draw)
        self.rows += 1

    def _draw(self, cells: list[str], draw: random.Random) -> None:
        if len(self.reservoir) < SAMPLE_ROWS:
            self.reservoir.append((self.rows, cells))
        elif (place := draw.randrange(self.rows + 1)) < SAMPLE_ROWS:
            self.reservoir[place] = (self.rows, cells)

    def _refuse_if_hopeless(self) -> None:
        if not self.rows:
            raise BadCsv("The file has a header but no rows; upload it with its data.")
        if self.ragged > max(1, self.rows * RAGGED_SHARE):
            raise BadCsv(
                f"{self.ragged} of {self.rows} rows do not have the header's"
                f" {len(self.names)} cells; check the delimiter and the quotes."
            )

    def profile(self, encoding: str, dialect: Dialect) -> Profile:
        samples = [cells for _, cells in sorted(self.reservoir)]
        columns = [
            column.profile(name, [cells[place] for cells in samples])
            for place, (name, column) in enumerate(zip(self.names, self.columns, strict=True))
        ]
        mended = [f"{self.mended} rows were padded or cut to the header's length"]
        footer = [f"{self.footer} lines below the last row were left out"]
        titles = [f"{dialect.titles} lines above the header were left out"]
        notes = self.notes + mended * bool(self.mended) + footer * bool(self.footer)
        unreadable = [f"{self.unreadable} rows hold bytes that are no {encoding}"]
        notes += titles * bool(dialect.titles) + unreadable * bool(self.unreadable)
        return Profile(encoding, dialect.delimiter, self.rows, columns, notes)


def _header(cells: list[str]) -> tuple[list[str], list[str]]:
    """Unique column names, and what was done to make them so."""
    given = [cell.strip() for cell in cells]
    names = [name[:NAME_CHARS] for name in given]
    if len(names) > COLUMN_LIMIT:
        raise BadCsv(f"The file has {len(names)} columns; keep at most {COLUMN_LIMIT} of them.")
    unique, notes = list[str](), list[str]()
    for place, name in enumerate(names, start=1):
        unique.append(name if name and name not in unique else _fresh(name, place, names))
        if unique[-1] != given[place - 1]:
            notes.append(f"column {place} {name!r} is called {unique[-1]!r} here")
    return unique, notes


def _fresh(name: str, place: int, taken: list[str]) -> str:
    candidate = f"{name or 'column'}_{place}"
    return _fresh(candidate, place, taken) if candidate in taken else candidate


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
