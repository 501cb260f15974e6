"""Which row of a file names its columns, if any does: what exports put before it, and what is no name.

All is judged by the rows themselves: a title is one cell where rows have more, and a first row that
holds what the rows below it hold (numbers above numbers, addresses above addresses) is one of them.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from crews.import_mapping.numerals import bare, with_comma, with_point
from crews.import_mapping.rows import Row

_KINDS = {
    "mail": re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"),
    "web": re.compile(r"https?://\S+"),
    "date": re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ][\d:.,+Z]+)?"),
}
_DIGITS = 10  # of a number, more of which count nothing that names a column
_CELL_CHARS = 200  # of a cell, by which its kind is told


def is_blank(row: Sequence[str]) -> bool:
    """Whether no cell holds anything."""
    return not any(cell.strip() for cell in row)


def header_place(rows: Sequence[Row]) -> int:
    """Return which row is the header: the first that is no blank line and no title.

    Titles are passed over only where most of what comes after is rows. Without any row it is 0.
    """
    filled = [place for place, row in enumerate(rows) if not is_blank(row)]
    below = [place for place in filled if not _is_title(rows[place])]
    if not below or below[0] == filled[0]:
        return filled[0] if filled else 0
    after = [rows[place] for place in filled if place > below[0]]
    cut = sum(not _is_title(row) for row in after)
    return below[0] if cut * 2 >= len(after) else filled[0]


def _is_title(row: Sequence[str]) -> bool:
    """Whether the first cell alone holds something; a table of two may have a column without name."""
    return len(row) != 2 and is_blank(row[1:])  # noqa: PLR2004 -- see above


def is_a_row(header: Sequence[str], body: Sequence[Row]) -> bool:
    """Whether a first row is no header: more of its cells are of their column's kind than are not.

    Only columns count whose cells are all numbers, all dates, all addresses of mail or of the web.
    """
    names = _numbers_that_name(header)
    votes = [
        _kind(cell) == kinds[0]
        for place, cell in enumerate(header)
        if cell.strip() and place not in names and (kinds := _kinds(body, place))
    ]
    return sum(votes) * 2 > len(votes)


def _kinds(body: Sequence[Row], place: int) -> list[str]:
    """Return the one kind of a column's cells; nothing where there are several, or words."""
    cells = (row[place] for row in body if place < len(row) and row[place].strip())
    kinds = {_kind(cell) for cell in cells}
    return [] if "" in kinds or len(kinds) != 1 else [*kinds]


def _kind(cell: str) -> str:
    text = bare(cell.strip()[:_CELL_CHARS])
    if with_point(text) is not None or with_comma(text) is not None:
        return "number"
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(text)), "")


def _numbers_that_name(header: Sequence[str]) -> set[int]:
    """Return the places of numbers that go up by equal steps, like years: those are names."""
    digits = [cell.strip() for cell in header]
    places = [n for n, cell in enumerate(digits) if cell.isdecimal() and len(cell) < _DIGITS]
    steps = {int(digits[b]) - int(digits[a]) for a, b in pairwise(places)}
    pair = 2  # any two numbers have one step between them
    even = len(steps) == 1 and min(steps) > 0 and (len(places) > pair or steps == {1})
    return {*places} if even else set()


class Body:
    """The rows below the header, without the footer: `left_out` lines after the last row.

    A footer is what reports write after an empty line, one cell a line.
    """

    _HELD_LINES = 100  # more are no footer, and are not to be kept in memory

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.left_out = 0

    def __iter__(self) -> Iterator[Row]:
        held, below_a_gap = list[Row](), False
        for row in self._rows:
            if is_blank(row):
                below_a_gap = True
            elif below_a_gap and _is_title(row) and len(held) < self._HELD_LINES:
                held.append(row)
            else:
                yield from held
                held, below_a_gap = [], False
                yield row
        self.left_out = len(held)
