"""What a CSV holds, column by column, in one pass and bounded memory.

The profile is what the agents see instead of the file; of a large one, it is of the first rows. The
samples of all columns come from the same few rows, drawn evenly from those that were read, so that
a reader can tell how columns hang together: that FULLADDR says again what NUMBER and STREET say.
"""

import csv
import io
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from crews.import_mapping.decoding import UNREADABLE, decoded, is_guess
from crews.import_mapping.dialect import SAMPLE_CHARS, detect_dialect, table
from crews.import_mapping.errors import BadCsv
from crews.import_mapping.header import Body, is_blank
from crews.import_mapping.numerals import Numbers
from crews.import_mapping.rows import Places, Row, Rows
from crews.import_mapping.sample import Sample, read_sample

SAMPLE_ROWS = 10
FREQUENT_VALUES = 6
DISTINCT_LIMIT = 2_000
CELL_CHARS = 60
NAME_CHARS = 200
COLUMN_LIMIT = 500
RAGGED_SHARE = 0.1
_ROUNDED = re.compile(r"\d\.\d+E\+\d\d")
LINE_CHARS = 1 << 19  # a line with more is no row of a table


@dataclass(frozen=True)
class ColumnProfile:
    """One column; shares are of the rows (`numeric_share`: of the cells that are not empty, and do not say so as N/A does)."""

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
    """The rows that were read; `notes` says what had to be mended to read them.

    `bytes_read` of `bytes` were read: the whole file, or its beginning.
    """

    encoding: str
    delimiter: str
    rows: int
    bytes_read: int
    bytes: int
    columns: list[ColumnProfile]
    notes: list[str]


def profile_csv(stream: BinaryIO) -> Profile:
    """Profile a CSV of any size. Raises BadCsv, one sentence that says what to do."""
    return profile_sample(read_sample(stream, lambda: stream.seek(0, io.SEEK_END)))


def profile_sample(sample: Sample) -> Profile:
    """Profile what was read of a CSV. Raises as `profile_csv` does."""
    encoding, whole = decoded(sample)
    text = whole.replace("\0", "")
    try:
        dialect = detect_dialect(text[: SAMPLE_CHARS + 1])
        rows = Rows(_lines(text), dialect, len(text), sample.is_cut)
        cut = table(rows, dialect)
        found = _Table.read(_without_last(cut) if sample.is_cut else cut)
    except csv.Error as error:
        raise BadCsv(f"The file breaks off as a CSV ({error}); check its quotes.") from error
    found.notes += _nulls(len(whole) - len(text))
    return found.profile(sample, encoding, rows)


def _nulls(count: int) -> list[str]:
    return [f"{count} NUL characters were left out"] if count else []


def _lines(text: str) -> Iterator[str]:
    """Yield the lines. Raises BadCsv for one that is too long to be a row's."""
    stream = io.StringIO(text, newline="")
    while line := stream.readline(LINE_CHARS + 1):
        if len(line) > LINE_CHARS:
            raise BadCsv(f"A line has over {LINE_CHARS} characters; put each row on its own line.")
        yield line


def _without_last(found: Iterator[Row]) -> Iterator[Row]:
    """Leave out the row in which what was read ends."""
    before = next(found, None)
    for row in found:
        if before is not None:
            yield before
        before = row


@dataclass
class _Column:
    """Running statistics of a column."""

    empty: int = 0
    shortest: int | None = None
    longest: int = 0
    filled: int = 0
    zeros: int = 0  # codes of digits that begin with one
    rounded: int = 0  # as spreadsheets write long numbers
    numbers: Numbers = field(default_factory=Numbers)
    values: Counter[str] = field(default_factory=Counter)

    def add(self, cell: str) -> None:
        if not cell:
            self.empty += 1
            return
        self.filled += 1
        self.shortest = len(cell) if self.shortest is None else min(self.shortest, len(cell))
        self.longest = max(self.longest, len(cell))
        self.numbers.add(cell)
        self.zeros += cell[0] == "0" and len(cell) > 1 and cell.isdecimal()
        self.rounded += "E+" in cell and bool(_ROUNDED.fullmatch(cell))
        if (value := cell[:CELL_CHARS]) in self.values or len(self.values) < DISTINCT_LIMIT:
            self.values[value] += 1

    def notes(self, name: str) -> Iterator[str]:
        if self.zeros:
            yield f"column {name!r} has {self.zeros} codes that begin with a zero; import it as text"
        if self.rounded:
            yield f"column {name!r} has {self.rounded} numbers like 1.23E+17, whose last digits are lost"

    def profile(self, name: str, samples: list[str]) -> ColumnProfile:
        numbers, rows = self.numbers.best, self.empty + self.filled
        return ColumnProfile(
            name=name,
            empty_share=_share(self.empty, rows),
            distinct=len(self.values),
            length=(self.shortest or 0, self.longest),
            numeric_share=_share(numbers.count, self.filled - self.numbers.absent),
            range=(numbers.low, numbers.high) if numbers.count else None,
            integer=bool(numbers.count) and numbers.integers,
            frequent=self.values.most_common(FREQUENT_VALUES),
            samples=samples,
        )


@dataclass
class _Table:
    """Running statistics of the rows and a uniform sample of them (reservoir, Vitter 1985)."""

    names: list[str]
    notes: list[str]
    columns: list[_Column]
    rows: int = 0
    mended: Places = field(default_factory=Places)
    ragged: Places = field(
        default_factory=Places
    )  # of those mended: rows that look as if they were cut in the wrong places
    footer: int = 0
    unreadable: Places = field(default_factory=Places)  # rows with bytes that are no text
    reservoir: list[tuple[int, list[str]]] = field(default_factory=list)

    @classmethod
    def read(cls, rows: Iterator[Row]) -> "_Table":
        names, notes = _header(next(rows, []))
        table = cls(names, notes, [_Column() for _ in names])
        draw = random.Random(0)  # noqa: S311 -- a repeatable sample, no secret
        body = Body(rows)
        for row in body:
            table._add(row, draw)
        table.footer = body.left_out
        table._refuse_if_hopeless()
        return table

    def _add(self, row: Row, draw: random.Random) -> None:
        width = len(self.names)
        too_long = not is_blank(row[width:])  # Chase's rows end in a delimiter more than the header
        too_short = len(row) < width
        self.unreadable.add(row.line, any(UNREADABLE in cell for cell in row))
        self.mended.add(row.line, too_long or too_short)
        # Excel leaves out empty cells at the end.
        self.ragged.add(row.line, too_long or (too_short and len(row) == 1))
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
        if self.ragged.count > max(1, self.rows * RAGGED_SHARE):
            raise BadCsv(
                f"{self.ragged.count} of {self.rows} rows, the first in line {self.ragged.line}, do"
                f" not have the header's {len(self.names)} cells; check the delimiter and the quotes."
            )

    def profile(self, sample: Sample, encoding: str, rows: Rows) -> Profile:
        samples = [cells for _, cells in sorted(self.reservoir)]
        columns = [
            column.profile(name, [cells[place] for cells in samples])
            for place, (name, column) in enumerate(zip(self.names, self.columns, strict=True))
        ]
        first = [f"these are the first {self.rows} rows of the file; the rest was not read"]
        return Profile(
            encoding=encoding,
            delimiter=rows.dialect.delimiter,
            rows=self.rows,
            bytes_read=len(sample.data),
            bytes=sample.size,
            columns=columns,
            notes=[*self._notes(encoding, rows), *(first if sample.is_cut else [])],
        )

    def _notes(self, encoding: str, rows: Rows) -> Iterator[str]:
        yield from self.notes
        yield from self.mended.note("rows were padded or cut to the header's length")
        yield from rows.plain.note("lines have a quote out of place, which was read as text")
        yield from rows.doubtful.note("cells hold lines like rows; check their quotes")
        for name, column in zip(self.names, self.columns, strict=True):
            yield from column.notes(name)
        if is_guess(encoding):
            yield f"read as {encoding}, a guess; if text looks wrong, save the file as UTF-8"
        yield from self.unreadable.note(f"rows hold bytes that are no {encoding}")
        if rows.dialect.titles:
            yield f"{rows.dialect.titles} lines above the header were left out"
        if self.footer:
            yield f"{self.footer} lines below the last row were left out"


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
