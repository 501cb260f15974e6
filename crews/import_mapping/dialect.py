"""How a CSV is cut: its delimiter, its quotes, and which row is the header, from a bounded sample.

Delimiter and quote are clevercsv's finding.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import dropwhile, islice

from crews.import_mapping import rows
from crews.import_mapping.errors import BadCsv
from crews.import_mapping.header import header_place, is_a_row, is_blank
from crews.import_mapping.rows import Dialect, Row, Rows

SAMPLE_CHARS = 1 << 14
# clevercsv tries each cell as an address of the web or of mail, in time that grows with the square
# of a word's length and more: 16,000 letters "a.a.a." take it half a minute.
_LONG_WORD = re.compile(r"""([^\s,;|"']{64})[^\s,;|"']+""")

# As Excel reads and writes it, before the header: which character stands between cells.
_SEPARATOR_LINE = re.compile(r"""\s*"?sep\s*=[ ]*([^\s\w"]|\t)[ ]*"?\s*""", re.IGNORECASE)
_USUAL = ",;\t|"


def detect_dialect(sample: str) -> Dialect:
    """Return how a text is cut, of which this is the beginning.

    Raises BadCsv when nothing cuts the header into more than one column, or there is no header.
    """
    dialect, cut = _table_of(sample, _dialect(sample))
    is_table = len(_header(cut, dialect)) > 1 and not _is_of_words(dialect)
    if not is_table or _misplaced(sample, dialect):
        dialect, cut = _usual_table(sample, [(dialect, cut)] if is_table else [], dialect.lines)
    if is_a_row(_header(cut, dialect), cut[dialect.titles + 1 :]):
        raise BadCsv("The first line holds values, not column names; add a header row.")
    return dialect


def _is_of_words(dialect: Dialect) -> bool:
    """Whether a delimiter is one that names, mail addresses and numbers are full of."""
    return dialect.delimiter.isalnum() or dialect.delimiter in "@._-/'"


def _table_of(sample: str, dialect: Dialect) -> tuple[Dialect, list[Row]]:
    """Return the rows of a sample, and the dialect with what they tell: their width, the header."""
    widths = Counter(len(row) for row in _rows(sample, dialect) if not is_blank(row))
    wide = replace(dialect, width=widths.most_common(1)[0][0] if widths else 0)
    cut = _rows(sample, wide)
    is_usual = dialect.delimiter in _USUAL  # a blank would cut titles, too
    return replace(wide, titles=header_place(cut) if is_usual else 0), cut


def _usual_table(
    sample: str, found: list[tuple[Dialect, list[Row]]], lines: int
) -> tuple[Dialect, list[Row]]:
    """Return what cuts most rows of a sample alike: what was found, or a usual delimiter.

    Without any of them it is one column. Raises BadCsv where none cuts the header.
    """
    usual = [delimiter for delimiter in _USUAL if delimiter in sample] or [","]
    dialects = [_of_writer(sample, Dialect(delimiter, lines=lines)) for delimiter in usual]
    tables = found + [_table_of(sample, dialect) for dialect in dialects]
    dialect, cut = max(tables, key=lambda table: _even_rows(sample, *table))
    if len(_header(cut, dialect)) < 2 and dialect.delimiter in sample:  # noqa: PLR2004 -- one
        raise BadCsv(
            "Only one column was found; separate the columns by a comma, semicolon, tab or pipe."
        )
    return dialect, cut


def _even_rows(sample: str, dialect: Dialect, cut: list[Row]) -> int:
    """Count the rows that have the usual width, if that is more than one cell, less those in doubt."""
    if dialect.width <= 1:
        return 0
    return sum(len(row) == dialect.width for row in cut) - _misplaced(sample, dialect)


def _rows(sample: str, dialect: Dialect) -> list[Row]:
    is_cut = len(sample) > SAMPLE_CHARS
    lines = io.StringIO(sample, newline="")
    cut = list(Rows(lines, dialect, len(sample), is_cut))
    return cut[:-1] if is_cut and len(cut) > 1 else cut  # the sample ends in the last


def _header(cut: list[Row], dialect: Dialect) -> list[str]:
    return cut[dialect.titles] if cut else []


def _dialect(sample: str) -> Dialect:
    if said := _SEPARATOR_LINE.fullmatch(sample.partition("\n")[0]):
        return Dialect(said[1], lines=1)
    import clevercsv  # noqa: PLC0415 -- it takes 90 ms, and workers load all tools

    try:
        found = clevercsv.Detector().detect(_LONG_WORD.sub(r"\1", _whole_lines(sample)))
    except Exception as error:  # its own parser's, for one, are of a class that it does not export
        raise BadCsv(f"The file cannot be read as a CSV ({error}); check its quotes.") from error
    if not found:
        return Dialect(",")
    return _of_writer(sample, Dialect(found.delimiter or ",", found.quotechar or '"'))


def _of_writer(sample: str, dialect: Dialect) -> Dialect:
    """Complete a dialect by what its writer does around and with quotes."""
    blanks = f"{dialect.delimiter} {dialect.quote}" in sample
    plain = replace(dialect, blanks=blanks)
    escaped = replace(plain, escapes=True)
    return min(plain, escaped, key=partial(_misplaced, sample)) if '\\"' in sample else plain


def _misplaced(sample: str, dialect: Dialect) -> int:
    """Count the rows with a quote that is out of place."""
    cut, count = rows.cut(io.StringIO(sample, newline=""), dialect, strict=True), 0
    while True:
        try:
            next(cut)
        except csv.Error:  # it goes on after that line
            count += 1
        except StopIteration:
            return count


def table(found: Iterable[Row], dialect: Dialect) -> Iterator[Row]:
    """Yield the header, then the rows below it; empty ones as they stand."""
    return dropwhile(is_blank, islice(found, dialect.titles, None))


def _whole_lines(sample: str) -> str:
    """Drop the last line where the sample was cut in it."""
    cut = sample[:SAMPLE_CHARS]
    return cut if len(sample) <= SAMPLE_CHARS else cut[: cut.rfind("\n") + 1] or cut
