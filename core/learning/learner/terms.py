"""Terms: what of a context is compared, with the name of the field in every term.

    {"column": "ZIP_5"}   ->  column=zip_5   column:zip  column:5   column:^ zip  column:zip 5 ...
                              and the runs of 2 to 4 characters of " zip 5 "

- a short text as a whole; its words, without common endings; pairs of words that stand together
- runs of characters (n-grams), which find what is only spelt alike: `postcode` and `post_code`.
  Not of texts in lists, which are many and say less each
- a number as a whole, its sign and magnitude; a date's year, month, weekday and hour

Words are exact; all terms, runs of characters too, also fall into one of 2^14 buckets (feature
hashing: Weinberger et al., 2009), so that what is learnt has a fixed size. Time and number of terms
are linear in the context and bounded: of many or long texts each gives its share.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.learning.context import Value, leaves

BUCKETS = 1 << 14
RUNS = (2, 3, 4)  # characters
MAX_CHARACTERS = 4096  # of all texts of a context; each has its share, a short one always fits
MIN_CHARACTERS = 64
MAX_LEAVES = 512
MAX_WORDS = 1024  # of a context; each text has its share, a short one always fits
MIN_WORDS = 4
MAX_FIELD, MAX_WORD = 64, 160  # characters
SHORT_WORDS = 4  # a text of so many is a term as a whole

_NOTHING = np.array([], np.uint32)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d\S{0,16})?")
_ENDINGS = ("ing", "ies", "ed", "es", "s", "ly")
_STEM = 3  # letters that are left of a word at least


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a context.

    `words` are exact, with how often they occur; `buckets` are those of all terms, each once and
    rising, `weights` 1 + ln(how often).
    """

    words: dict[str, int]
    buckets: NDArray[np.int64]
    weights: NDArray[np.float32]


def terms(context: Mapping[str, Any]) -> Terms:
    """Return the terms of a context. Raises InvalidInputError as `context.leaves` does."""
    found = leaves(context)[:MAX_LEAVES]
    share = max(MIN_CHARACTERS, MAX_CHARACTERS // max(1, len(found)))
    most = max(MIN_WORDS, MAX_WORDS // max(1, len(found)))
    words: Counter[str] = Counter()
    hashes: list[NDArray[np.uint32]] = []
    for leaf in found:
        value = leaf.value[:share] if isinstance(leaf.value, str) else leaf.value
        exact, hashed = _of(_short(leaf.field), value, leaf.listed, most)
        words.update(exact)
        hashes.append(hashed)
    found = np.sort(np.concatenate(hashes or [_NOTHING]))
    firsts = np.flatnonzero(found[1:] != found[:-1]) + 1
    firsts = np.concatenate([np.zeros(min(1, len(found)), np.int64), firsts])
    counts = np.concatenate([firsts[1:], [len(found)]])[: len(firsts)] - firsts
    return Terms(words, found[firsts].astype(np.int64), (1 + np.log(counts)).astype(np.float32))


@lru_cache(maxsize=1024, typed=True)  # most fields have few values; 1 and true are not the same
def _of(field: str, value: Value, listed: bool, most: int) -> tuple[list[str], NDArray[np.uint32]]:
    """Return the first exact terms of a value, and the buckets of its terms."""
    tokens = _tokens(value)
    first = islice(_words(field, value, tokens), most)
    words = [word[:MAX_WORD].replace("\n", " ") for word in first]  # kept as lines
    hashes = [np.array([_hash(word) for word in words], np.uint32)]
    if tokens and not listed:
        hashes += _runs(f" {' '.join(tokens)} ", field)
    return words, np.concatenate(hashes) % BUCKETS


def _short(field: str) -> str:
    """Return a field's name, or its end with a hash of the whole: it stands in each of its terms."""
    if len(field) <= MAX_FIELD:
        return field
    return f"{_hash(field):08x}{field[8 - MAX_FIELD :]}"


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace"))


def _tokens(value: Value) -> list[str]:
    """Return the words of a text, in small letters: `streetName_2` is three."""
    if not isinstance(value, str) or _DATE.fullmatch(value):
        return []
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", value))]


def _words(field: str, value: Value, tokens: list[str]) -> Iterator[str]:
    """Yield the exact terms of a value."""
    text = value if isinstance(value, str) else _number(value)
    if len(tokens) <= SHORT_WORDS:
        yield f"{field}={text[:MIN_CHARACTERS].lower()}"
    for part in _date(value) if isinstance(value, str) else _magnitude(value):
        yield f"{field}:{part}"
    if tokens:
        stems = [_stem(word) for word in tokens]
        yield from (f"{field}:{stem}" for stem in stems)
        pairs = zip(["^", *stems], [*stems, "$"], strict=True)
        yield from (f"{field}:{one} {other}" for one, other in pairs)


def _stem(word: str) -> str:
    """Cut off the first common English ending that leaves three letters."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            return word[: -len(ending)]
    return word


def _number(value: float | bool | None) -> str:
    """Return a number as JSON may have it: 1.0 and 1 are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _magnitude(value: float | bool | None) -> Iterator[str]:
    """Yield a number's sign with the power of two above it, and roughly that of ten."""
    if value is None or isinstance(value, bool) or value == 0:
        return
    bits = abs(value).bit_length() if isinstance(value, int) else math.frexp(value)[1]
    sign = "+" if value > 0 else "-"
    yield f"{sign}2^{bits}"
    yield f"{sign}10^{math.floor(bits * math.log10(2))}"


def _date(value: str) -> Iterator[str]:
    """Yield the parts of a date that come again: year, month, weekday, hour."""
    if not _DATE.fullmatch(value):
        return
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # the 31st of June is a text
        return
    yield f"year {moment.year}"
    yield f"month {moment.month}"
    yield f"weekday {moment.weekday()}"
    if len(value) > len("2026-11-26"):
        yield f"hour {moment.hour}"


def _runs(text: str, field: str) -> Iterator[NDArray[np.uint32]]:
    """Yield hashes of the runs of characters: a polynomial of their codes, then mixed."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    seed = np.uint32(_hash(field))
    hashes = codes ^ seed
    for length in range(2, RUNS[-1] + 1):
        hashes = hashes[:-1] * np.uint32(0x01000193) + codes[length - 1 :]
        if length in RUNS:
            mixed = (hashes ^ (hashes >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
            yield mixed ^ (mixed >> np.uint32(13))
