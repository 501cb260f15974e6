"""Long texts in pieces that every reader of a stream takes, cut between what a person sees as characters.

One event is one line of a stream, and readers bound lines: aiohttp at 512 kB. A character takes six
bytes of JSON at most.
"""

import unicodedata
from collections.abc import Iterator

LONGEST_CLUSTER = 100  # characters; what joins more of them is cut anyway
JOINER = "\u200d"
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
VOWELS_AND_FINALS = "\u1160", "\u11ff"  # of Hangul, which follow a leading consonant
FLAG_LETTERS = "\U0001f1e6", "\U0001f1ff"  # two of them are a flag


def pieces(text: str, size: int) -> Iterator[str]:
    """Yield a text in pieces of at most `size` characters, which must be more than LONGEST_CLUSTER.

    A grapheme cluster stays whole (the usual rules of Unicode's UAX 29, not those of single scripts).
    """
    start = 0
    while len(text) - start > size:
        end = _cut(text, start, start + size)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, start: int, end: int) -> int:
    """Return the last place up to `end` at which a cluster ends; one begins at `start`."""
    near = range(end, end - LONGEST_CLUSTER, -1)
    return next((at for at in near if not _joined(text, start, at)), end)


def _joined(text: str, start: int, at: int) -> bool:
    """Tell whether the characters before and after this place are of one cluster."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after).startswith("M")
        or JOINER in (before, after)
        or after in SKIN_TONES
        or VOWELS_AND_FINALS[0] <= after <= VOWELS_AND_FINALS[1]
        or before + after == "\r\n"
        or _is_half_a_surrogate_pair(before, after)
        or (_is_flag_letter(after) and _flag_letters_before(text, start, at) % 2 == 1)
    )


def _is_half_a_surrogate_pair(before: str, after: str) -> bool:
    return "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff"


def _is_flag_letter(character: str) -> bool:
    return FLAG_LETTERS[0] <= character <= FLAG_LETTERS[1]


def _flag_letters_before(text: str, start: int, at: int) -> int:
    first = at
    while first > start and _is_flag_letter(text[first - 1]):
        first -= 1
    return at - first
