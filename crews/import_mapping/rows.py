"""The rows of a CSV, none of them lost to a quote that stands where it should not.

A reader that meets a stray quote, such as an inch mark, takes all lines up to the next quote for one
cell, and says nothing. So a row is believed only if its quotes are as the format wants them (RFC 4180),
and one of several lines only if these are not all rows by themselves. Otherwise its first line is read
alone and the next line begins a row. What was read so is counted, with the first line of it.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from crews.import_mapping.errors import BadCsv

IN_VAIN = 4  # times the text that may be read again
ROWS_BY_CHANCE = 6  # delimiters in a cell's lines up to which those may look like rows by chance
_ESCAPED = re.compile(r'\\([\\"])')


@dataclass(frozen=True)
class Dialect:
    """How rows are cut into cells, and where the header is.

    `lines` are before what is cut: Excel's `sep=`. `titles` are rows before the header. `width` is
    how many cells most rows have; 0 if that is not known.
    """

    delimiter: str
    quote: str = '"'
    blanks: bool = False  # stand after delimiters, before a quote
    escapes: bool = False  # a quote within a cell is written \", as MySQL does
    lines: int = 0
    titles: int = 0
    width: int = 0


class Row(list[str]):
    """Cells, and the number of the line in which they begin, from 1; an empty line has none."""

    def __init__(self, cells: Sequence[str], line: int) -> None:
        super().__init__(cells)
        self.line = line


def cut(lines: Iterable[str], dialect: Dialect, *, strict: bool = False) -> Iterator[list[str]]:
    """Yield the cells of each row as Python's reader finds them.

    Raises csv.Error for a cell that is too long; if strict, also for a quote that is not where the
    format has one.
    """
    return csv.reader(
        map(_with_doubled_quotes, lines) if dialect.escapes else lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        skipinitialspace=dialect.blanks,
        strict=strict,
    )


def _with_doubled_quotes(line: str) -> str:
    r"""Write \" as "" and \\ as \, and leave \N, which is MySQL's null, as it is."""
    return _ESCAPED.sub(lambda found: '""' if found[1] == '"' else "\\", line)


@dataclass
class Places:
    """How often something was met, and the line where it was first."""

    count: int = 0
    line: int = 0

    def add(self, line: int, happened: bool = True) -> None:
        if happened:
            self.line = self.line or line
            self.count += 1

    def note(self, text: str) -> list[str]:
        """Return how often it was met, in words, and where first; nothing if it was not."""
        first = f", the first in line {self.line}" if self.count > 1 else f", in line {self.line}"
        return [f"{self.count} {text}{first}"] if self.count else []


@dataclass
class _Lines:
    """Lines that can be given back. Unlike a generator it goes on after its end."""

    source: Iterator[str]
    number: int  # of the line that was read last
    taken: list[str] = field(default_factory=list[str])
    back: list[str] = field(default_factory=list[str])  # the next one last

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.back.pop() if self.back else next(self.source)
        self.taken.append(line)
        self.number += 1
        return line

    def keep_first(self) -> int:
        """Give back all lines but the first that were taken; return how many characters those have."""
        rest = self.taken[1:]
        self.back += reversed(rest)
        self.number -= len(rest)
        return sum(map(len, rest))

    @property
    def are_at_the_end(self) -> bool:
        """Whether there is no other line."""
        if not self.back and (line := next(self.source, None)) is not None:
            self.back.append(line)
        return not self.back


@dataclass
class Rows:
    """Iterates once over the rows of a text of `size` characters, which may be a file's beginning.

    Afterwards `plain` are the lines whose quotes were read as plain text, and `doubtful` the cells
    whose line breaks may be ends of rows. Raises BadCsv where quotes tell nothing.
    """

    lines: Iterator[str]
    dialect: Dialect
    size: int
    is_cut: bool = False
    plain: Places = field(default_factory=Places)
    doubtful: Places = field(default_factory=Places)

    def __iter__(self) -> Iterator[Row]:
        for _ in range(self.dialect.lines):
            next(self.lines, None)
        lines = _Lines(self.lines, self.dialect.lines)
        reader, self._in_vain = cut(lines, self.dialect, strict=True), 0
        while True:
            lines.taken.clear()
            begin = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:  # of its quotes, or of its length
                yield Row(self._of_first_line(lines, begin), begin)
            else:
                is_row = len(lines.taken) == 1 or self._is_believed(cells, lines, begin)
                yield Row(cells if is_row else self._of_first_line(lines, begin), begin)

    def _is_believed(self, cells: list[str], lines: _Lines, begin: int) -> bool:
        """Whether several lines are one row, whose quotes are all in place."""
        holds_rows = self._hold_rows(cells, lines.taken)
        if holds_rows and self._are_rows(lines.taken):
            return False
        self.doubtful.add(begin, holds_rows)
        return True

    def _of_first_line(self, lines: _Lines, begin: int) -> list[str]:
        """Return the cells of the first line that was taken, and give back the others.

        Those in which a file was cut stay taken, unless they look like rows.
        """
        taken = lines.taken
        if self._is_cut_in(lines):
            return next(cut(taken, self.dialect))
        self._in_vain += lines.keep_first()
        if self._in_vain > IN_VAIN * self.size:
            raise BadCsv(
                f"The quotes from line {begin} on do not close; double those within cells."
            )
        self.plain.add(begin)
        return self._alone(taken[0])

    def _is_cut_in(self, lines: _Lines) -> bool:
        if not self.is_cut or not lines.are_at_the_end:
            return False
        return not self._hold_rows(next(cut(lines.taken, self.dialect)), lines.taken)

    def _hold_rows(self, cells: list[str], taken: list[str]) -> bool:
        """Whether the cells with line breaks hold as many delimiters as rows in their place would."""
        broken = [cell for cell in cells if "\n" in cell or "\r" in cell]
        held = sum(cell.count(self.dialect.delimiter) for cell in broken)
        wanted = (len(taken) - 1) * ((self.dialect.width or len(cells)) - 1)
        return len(taken) > 1 and held >= wanted

    def _are_rows(self, taken: list[str]) -> bool:
        """Whether each line is a row by itself, and they are too many for that to be chance."""
        width = self.dialect.width
        if not width or (len(taken) - 1) * (width - 1) < ROWS_BY_CHANCE:
            return False
        return all(len(self._alone(line)) == width for line in taken)

    def _alone(self, line: str) -> list[str]:
        """Cut one line: with its quotes, or with those as text if that comes nearer to the width."""
        quoted = next(cut([line], self.dialect), [])
        plain = [self._unquoted(cell) for cell in line.rstrip("\r\n").split(self.dialect.delimiter)]
        width = self.dialect.width or len(quoted)
        return min(plain, quoted, key=lambda cells: abs(len(cells) - width))

    def _unquoted(self, cell: str) -> str:
        """Take off the quotes around a cell, if it has both."""
        quote, text = self.dialect.quote, cell.strip()
        is_quoted = len(text) > 1 and text[0] == text[-1] == quote
        return text[1:-1].replace(quote * 2, quote) if is_quoted else cell
