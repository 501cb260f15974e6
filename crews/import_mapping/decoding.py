"""How the bytes of a CSV are to be read: its encoding, delimiter and quote character.

UTF-8 is proven by decoding all that was read, since one Latin-1 letter may stand in its last line;
a byte order mark is believed on the same terms. What is not UTF-8 is told apart by charset-normalizer, held to the two candidates we promise and
shown only the lines that are not plain ASCII. The dialect is clevercsv's, from a bounded sample.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import charset_normalizer
import clevercsv

from crews.import_mapping.sample import Sample

SAMPLE_BYTES = 1 << 15
SAMPLE_CHARS = 1 << 14
# clevercsv tries each cell as an address of the web or of mail, in time that grows with the square
# of a word's length and more: 16,000 letters "a.a.a." take it half a minute.
_LONG_WORD = re.compile(r"""([^\s,;|"']{64})[^\s,;|"']+""")

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTAINERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
}


class BadCsv(ValueError):  # noqa: N818 -- it names the file, not the failure
    """The file cannot be read as a CSV; the message is one sentence that says what to do."""

    is_fatal = True  # no agent can map columns that it has not seen


@dataclass(frozen=True)
class Dialect:
    """How rows are cut into cells."""

    delimiter: str
    quote: str = '"'


def decoded(sample: Sample) -> tuple[str, str]:
    """Return the name of Python's codec for the bytes, and the text. A letter that is cut is left out.

    Raises BadCsv for an empty or binary file, and one that is not what its byte order mark says.
    """
    head = sample.data[:SAMPLE_BYTES]
    marked = _byte_order_mark(head)
    if marked is None:
        _refuse_binary(head)
    for encoding in [marked] if marked else _unmarked(sample.data):
        text = _decode(sample, encoding)
        if text is not None:
            return encoding, text
    name = (marked or "").removesuffix("-sig").upper()
    raise BadCsv(f"The file begins as {name} but is not so throughout; save it anew as UTF-8.")


def detect_dialect(sample: str) -> Dialect:
    """Delimiter and quote of a text whose first line is the header.

    Raises BadCsv when nothing cuts the header into more than one column.
    """
    found = clevercsv.Detector().detect(_LONG_WORD.sub(r"\1", _whole_lines(sample)))
    dialect = Dialect(found.delimiter or ",", found.quotechar or '"') if found else Dialect(",")
    header = next(rows(sample.splitlines(), dialect), [])
    if len(header) < 2 or dialect.delimiter.isalnum():  # noqa: PLR2004 -- a table has two columns
        raise BadCsv(
            "Only one column was found; separate the columns by a comma, semicolon, tab or pipe."
        )
    return dialect


def rows(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Cut lines into cells. Empty lines and Excel's `sep=` line are left out."""
    for row in csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote):
        if any(cell.strip() for cell in row) and not row[0].startswith("sep="):
            yield row


def _byte_order_mark(head: bytes) -> str | None:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def _refuse_binary(head: bytes) -> None:
    if not head.strip():
        raise BadCsv("The file is empty; upload a CSV with a header row and at least one row.")
    for magic, what in CONTAINERS.items():
        if head.startswith(magic):
            raise BadCsv(f"The file is {what}, not a CSV; export it as CSV and upload that.")
    if b"\0" in head:
        raise BadCsv("The file is binary, not a CSV; export it as CSV and upload that.")


def _unmarked(data: bytes) -> Iterator[str]:
    """Yield the encodings to try; the last one reads any bytes."""
    yield "utf-8"
    yield _legacy_encoding(data)
    yield "latin-1"


def _legacy_encoding(data: bytes) -> str:
    found = charset_normalizer.from_bytes(
        _lines_beyond_ascii(data), cp_isolation=["cp932", "cp1252"]
    ).best()
    return found.encoding if found else "cp1252"


def _lines_beyond_ascii(data: bytes) -> bytes:
    """Only these lines tell encodings apart: a file may hold a megabyte of ASCII before them."""
    stream, lines = io.BytesIO(data), bytearray()
    while len(lines) < SAMPLE_BYTES and (line := stream.readline(SAMPLE_BYTES)):
        if not line.isascii():
            lines += line
    return bytes(lines)


def _decode(sample: Sample, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample.data, final=not sample.is_cut)
    except UnicodeDecodeError:
        return None


def _whole_lines(sample: str) -> str:
    """Drop the last line where the sample was cut in it."""
    cut = sample[:SAMPLE_CHARS]
    return cut if len(sample) <= SAMPLE_CHARS else cut[: cut.rfind("\n") + 1] or cut
