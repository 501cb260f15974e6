"""How the bytes of a CSV are to be read: its encoding.

UTF-8 is proven by decoding all that was read, since one Latin-1 letter may stand in its last line;
a byte order mark is believed on the same terms. A file in which more letters are UTF-8 than bytes are
not is UTF-8 with a few bytes that went wrong. What else is not UTF-8 is guessed by chardet, which is
shown only the lines that are not plain ASCII and held to what exports are written in: the code pages of
Windows, and those of East Asia. A guess is a guess: whoever reads it is told (`is_guess`).
"""

import codecs
import io
import re
from collections.abc import Iterator

from crews.import_mapping.errors import BadCsv
from crews.import_mapping.sample import Sample

SAMPLE_BYTES = 1 << 15
_GUESSES = [f"cp125{n}" for n in range(9)] + [
    "cp874", "cp932", "cp949", "gb18030", "big5hkscs", "euc_jis_2004", "iso8859-2", "iso8859-7",
]  # fmt: skip
_CENTRAL_EUROPEAN = {"cp1250", "iso8859-2"}
SPANISH = set("áéíóúüñÁÉÍÓÚÜÑ¿¡ºª")
BYTE_ORDER_MARKS = {  # UTF-32's before UTF-16's, which it begins with
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNREADABLE = "\ufffd"  # in the place of bytes that are no text
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f"})
KANA, FIRST_KANA = range(0xA1, 0xE0), range(0xA6, 0xC0)
WRONG_ZEROS = 0.1  # of those in their place, up to which zeros are halves of characters
CONTROL_SHARE = 0.05  # of bytes that are in no text, from which on a file is none
CONTAINERS = {  # how a file begins, and what it is
    rb"PK\x03\x04": "a ZIP archive or an Excel workbook",
    rb"\xd0\xcf\x11\xe0": "an Excel workbook",
    rb"\x1f\x8b": "a gzip archive",
    rb"%PDF": "a PDF",
    rb"PAR1": "a Parquet file",
    rb"<": "HTML or XML",
    rb"\{|\[\s*[\[{]": "JSON",
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
    """Return how a file without a mark is read in which zeros are parts of characters."""
    zeros = [head[place::4].count(0) for place in range(4)]
    by_zeros = {  # how many are where none belong, of those that are
        "utf-32-le": zeros[0] / (min(zeros[1:]) or 1),
        "utf-32-be": zeros[3] / (min(zeros[:3]) or 1),
        "utf-16-le": (zeros[0] + zeros[2]) / (zeros[1] + zeros[3] or 1),
        "utf-16-be": (zeros[1] + zeros[3]) / (zeros[0] + zeros[2] or 1),
    }
    wide = (name for name, wrong in by_zeros.items() if any(zeros) and wrong < WRONG_ZEROS)
    return next((name for name in wide if "\n" in head.decode(name, "ignore")), None)


def _refuse_binary(head: bytes) -> None:
    if not head.strip():
        raise BadCsv("The file is empty; upload a CSV with a header row and at least one row.")
    for pattern, what in CONTAINERS.items():
        if re.match(pattern, head.lstrip()):
            raise BadCsv(f"The file is {what}, not a CSV; export it as CSV and upload that.")
    if len(head.translate(None, _CONTROLS)) < (1 - CONTROL_SHARE) * len(head):
        raise BadCsv("The file is binary, not a CSV; export it as CSV and upload that.")


def _unmarked(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encodings to try, and how to meet bytes that are none; the last one reads any."""
    yield "utf-8", "strict"
    sample = _lines_beyond_ascii(data)
    if _is_mostly_utf_8(sample):
        yield "utf-8", "replace"
    guess = _guess(sample)
    yield guess, "strict"
    yield guess, "replace"


def is_guess(encoding: str) -> bool:
    """Whether an encoding is neither proven nor said by the file."""
    return not encoding.startswith("utf")


def _guess(sample: bytes) -> str:
    """Return Python's name of the encoding that letters are most likely in."""
    import chardet  # noqa: PLC0415 -- most files need no guess

    found = chardet.detect(sample, include_encodings=_GUESSES)["encoding"]
    name = codecs.lookup(found or "cp1252").name
    if name in _CENTRAL_EUROPEAN and _may_be_spanish(sample):
        return "cp1252"
    return "cp932" if name == "cp1251" and _is_kana(sample) else name


def _may_be_spanish(sample: bytes) -> bool:
    """Whether all letters are among Spain's, which chardet takes for Poland's where there are few.

    Polish with `ń` and `ó` alone of its own letters is the rarer of the two.
    """
    return set(sample.decode("cp1252", "replace")) - set(map(chr, range(128))) <= SPANISH


def _is_kana(sample: bytes) -> bool:
    """Whether letters are Japan's half-width kana, which chardet takes for Cyrillic capitals.

    Those have no codes that every fourth of kana has, and no text is written in them alone.
    """
    letters = [byte for byte in sample if byte >= KANA.start]
    first = sum(byte in FIRST_KANA for byte in letters)
    return all(byte in KANA for byte in letters) and first * 4 > len(letters)


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
