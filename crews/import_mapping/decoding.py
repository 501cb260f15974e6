"""How the bytes of a CSV are to be read: its encoding, delimiter, quote character and header.

UTF-8 is proven by decoding the whole file, since one Latin-1 letter may stand in its last line.
A file in which more letters are UTF-8 than bytes are not is UTF-8 with a few bytes that went wrong. What
else is not UTF-8 is told apart by charset-normalizer, held to the two candidates we promise and shown
only the lines that are not plain ASCII. The dialect is clevercsv's, from a bounded sample.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import dropwhile, islice
from typing import BinaryIO

import charset_normalizer
import clevercsv

from crews.import_mapping.header import header_place, is_a_row, is_blank

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 15
SAMPLE_CHARS = 1 << 14
# clevercsv tries each cell as an address of the web or of mail, in time that grows with the square
# of a word's length and more: 16,000 letters "a.a.a." take it half a minute.
_LONG_WORD = re.compile(r"""([^\s,;|"']{64})[^\s,;|"']+""")

# As Excel reads and writes it, before the header: which character stands between cells.
_SEPARATOR_LINE = re.compile(r"""\s*"?sep\s*=[ ]*([^\s\w"]|\t)[ ]*"?\s*""", re.IGNORECASE)
BYTE_ORDER_MARKS = {  # UTF-32's before UTF-16's, which it begins with
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNREADABLE = "\ufffd"  # in the place of bytes that are no text
_USUAL = ",;\t|"
_BINARY = "The file is binary, not a CSV; export it as CSV and upload that."
CONTAINERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"<": "HTML or XML",
    b"{": "JSON",
    b"[{": "JSON",
}


class BadCsv(ValueError):  # noqa: N818 -- it names the file, not the failure
    """The file cannot be read as a CSV; the message is one sentence that says what to do."""

    is_fatal = True  # no agent can map columns that it has not seen


@dataclass(frozen=True)
class Dialect:
    """How rows are cut into cells, and where the header is.

    `lines` are before what is cut: Excel's `sep=`. `titles` are rows before the header.
    """

    delimiter: str
    quote: str = '"'
    blanks: bool = False  # stand after delimiters, before a quote
    lines: int = 0
    titles: int = 0


def detect_encoding(stream: BinaryIO) -> str:
    """Name Python's codec for the stream, which is read from its start and left at its start.

    Raises BadCsv for an empty or binary file.
    """
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    marked = _byte_order_mark(head) or _unmarked_utf_16(head)
    if marked is None:
        _refuse_binary(head)
    encoding = marked or ("utf-8" if _decodes(stream, "utf-8") else _legacy_encoding(stream))
    stream.seek(0)
    return encoding


def detect_dialect(sample: str) -> Dialect:
    """Return how a text is cut, of which this is the beginning.

    Raises BadCsv when nothing cuts the header into more than one column, or there is no header.
    """
    if "\0" in sample:
        raise BadCsv(_BINARY)
    dialect = _dialect(sample)
    cut = list(rows(io.StringIO(sample, newline=""), dialect))
    if len(sample) > SAMPLE_CHARS and len(cut) > 1:
        cut.pop()  # the sample ends in it
    place = header_place(cut) if dialect.delimiter in _USUAL else 0  # a blank would cut titles, too
    header, body = cut[place] if cut else [], cut[place + 1 :]
    if len(header) < 2 or dialect.delimiter.isalnum():  # noqa: PLR2004 -- a table has two columns
        raise BadCsv(
            "Only one column was found; separate the columns by a comma, semicolon, tab or pipe."
        )
    if is_a_row(header, body):
        raise BadCsv("The first line holds values, not column names; add a header row.")
    return replace(dialect, titles=place)


def _dialect(sample: str) -> Dialect:
    if said := _SEPARATOR_LINE.fullmatch(sample.partition("\n")[0]):
        return Dialect(said[1], lines=1)
    try:
        found = clevercsv.Detector().detect(_LONG_WORD.sub(r"\1", _whole_lines(sample)))
    except Exception as error:  # its own parser's, for one, are of a class that it does not export
        raise BadCsv(f"The file cannot be read as a CSV ({error}); check its quotes.") from error
    if not found:
        return Dialect(",")
    delimiter, quote = found.delimiter or ",", found.quotechar or '"'
    return Dialect(delimiter, quote, blanks=f"{delimiter} {quote}" in sample)


def rows(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Cut lines into cells; a row of an empty line has none."""
    return csv.reader(
        islice(lines, dialect.lines, None),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        skipinitialspace=dialect.blanks,
    )


def table(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Yield the header, then the rows below it; empty ones as they stand."""
    cut = islice(rows(lines, dialect), dialect.titles, None)
    return dropwhile(is_blank, cut)


def _byte_order_mark(head: bytes) -> str | None:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def _unmarked_utf_16(head: bytes) -> str | None:
    """Return how a file without a mark is read whose zeros are halves of characters: all even or odd."""
    halves = {place % 2 for place, byte in enumerate(head) if byte == 0}
    if len(halves) != 1:
        return None
    encoding = "utf-16-be" if halves == {0} else "utf-16-le"
    return encoding if "\n" in head.decode(encoding, "ignore") else None


def _refuse_binary(head: bytes) -> None:
    if not head.strip():
        raise BadCsv("The file is empty; upload a CSV with a header row and at least one row.")
    for magic, what in CONTAINERS.items():
        if head.lstrip().startswith(magic):
            raise BadCsv(f"The file is {what}, not a CSV; export it as CSV and upload that.")
    if b"\0" in head:
        raise BadCsv(_BINARY)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    return iter(lambda: stream.read(CHUNK_BYTES), b"")


def _legacy_encoding(stream: BinaryIO) -> str:
    sample = _lines_beyond_ascii(stream)
    if _is_mostly_utf_8(sample):
        return "utf-8"
    best = charset_normalizer.from_bytes(sample, cp_isolation=["cp932", "cp1252"]).best()
    encoding = best.encoding if best else "cp1252"
    return encoding if _decodes(stream, encoding) else "latin-1"


def _is_mostly_utf_8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    wrong = text.count(UNREADABLE)
    return sum(not letter.isascii() for letter in text) > 2 * wrong


def _lines_beyond_ascii(stream: BinaryIO) -> bytes:
    """Only these lines tell encodings apart: a file may hold a megabyte of ASCII before them."""
    lines = bytearray()
    stream.seek(0)
    while len(lines) < SAMPLE_BYTES and (line := stream.readline(SAMPLE_BYTES)):
        if not line.isascii():
            lines += line
    return bytes(lines)


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(stream):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _whole_lines(sample: str) -> str:
    """Drop the last line where the sample was cut in it."""
    cut = sample[:SAMPLE_CHARS]
    return cut if len(sample) <= SAMPLE_CHARS else cut[: cut.rfind("\n") + 1] or cut
