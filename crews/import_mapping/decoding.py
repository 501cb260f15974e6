"""How the bytes of a CSV are to be read: its encoding.

UTF-8 is proven by decoding all that was read, since one Latin-1 letter may stand in its last line;
a byte order mark is believed on the same terms. A file in which more letters are UTF-8 than bytes are
not is UTF-8 with a few bytes that went wrong. What else is not UTF-8 is told apart by
charset-normalizer, held to the two candidates we promise and shown only the lines that are not plain
ASCII.
"""

import codecs
import io
from collections.abc import Iterator

import charset_normalizer

from crews.import_mapping.errors import BadCsv
from crews.import_mapping.sample import Sample

SAMPLE_BYTES = 1 << 15
BYTE_ORDER_MARKS = {  # UTF-32's before UTF-16's, which it begins with
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BY_ZEROS = {  # which of four bytes are mostly zero
    "x0x0": "utf-16-le",
    "0x0x": "utf-16-be",
    "x000": "utf-32-le",
    "000x": "utf-32-be",
}
UNREADABLE = "\ufffd"  # in the place of bytes that are no text
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f"})
CONTROL_SHARE = 0.05  # of bytes that are in no text, from which on a file is none
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


def decoded(sample: Sample) -> tuple[str, str]:
    """Return the name of Python's codec for the bytes, and the text. A letter that is cut is left out.

    Raises BadCsv for an empty or binary file, and one that is not what its byte order mark says.
    """
    head = sample.data[:SAMPLE_BYTES]
    marked = _byte_order_mark(head) or _unmarked_wide(head)
    if marked is None:
        _refuse_binary(head)
    for encoding, errors in [(marked, "strict")] if marked else _unmarked(sample.data):
        text = _decode(sample, encoding, errors)
        if text is not None:
            return encoding, text
    name = (marked or "").removesuffix("-sig").upper()
    raise BadCsv(f"The file begins as {name} but is not so throughout; save it anew as UTF-8.")


def _byte_order_mark(head: bytes) -> str | None:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def _unmarked_wide(head: bytes) -> str | None:
    """Return how a file without a mark is read in which zeros are parts of most characters."""
    zeros = "".join("0" if head[n::4].count(0) * 8 > len(head) else "x" for n in range(4))
    encoding = _BY_ZEROS.get(zeros)
    return encoding if encoding and "\n" in head.decode(encoding, "ignore") else None


def _refuse_binary(head: bytes) -> None:
    if not head.strip():
        raise BadCsv("The file is empty; upload a CSV with a header row and at least one row.")
    for magic, what in CONTAINERS.items():
        if head.lstrip().startswith(magic):
            raise BadCsv(f"The file is {what}, not a CSV; export it as CSV and upload that.")
    if len(head.translate(None, _CONTROLS)) < (1 - CONTROL_SHARE) * len(head):
        raise BadCsv("The file is binary, not a CSV; export it as CSV and upload that.")


def _unmarked(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encodings to try, and how to meet bytes that are none; the last one reads any."""
    yield "utf-8", "strict"
    sample = _lines_beyond_ascii(data)
    if _is_mostly_utf_8(sample):
        yield "utf-8", "replace"
    yield _legacy_encoding(sample), "strict"
    yield "latin-1", "strict"


def _legacy_encoding(sample: bytes) -> str:
    found = charset_normalizer.from_bytes(sample, cp_isolation=["cp932", "cp1252"]).best()
    return found.encoding if found else "cp1252"


def _is_mostly_utf_8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    wrong = text.count(UNREADABLE)
    return sum(not letter.isascii() for letter in text) > 2 * wrong


def _lines_beyond_ascii(data: bytes) -> bytes:
    """Only these lines tell encodings apart: a file may hold a megabyte of ASCII before them."""
    stream, lines = io.BytesIO(data), bytearray()
    while len(lines) < SAMPLE_BYTES and (line := stream.readline(SAMPLE_BYTES)):
        if not line.isascii():
            lines += line
    return bytes(lines)


def _decode(sample: Sample, encoding: str, errors: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(
            sample.data, final=not sample.is_cut
        )
    except UnicodeDecodeError:
        return None
