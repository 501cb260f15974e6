"""Patterns of strangers: ECMA-262's, matched in time that grows with the text alone.

The engine is that of `jsonschema-rs`, Rust's `regex`. It takes neither lookaround nor
back-references. `$` is the end of the text, not the place before a last line break.
"""

import re
from typing import Any

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

OPTIONS = RegexOptions(size_limit=1 << 20)  # bytes of a compiled pattern, which bound a match
RULE = (
    "must be a regular expression of at most 1,000 characters, with at most 4 classes like \\p{L} "
    "(with (?i) also 4 in brackets), without lookaround and back-references, and not too large "
    "when its repetitions are written out"
)
_CHARACTERS, _CLASSES = 1_000, 4
# To compile one of the first takes up to 0.4 ms, one in brackets without regard to case 3 ms.
_CLASS, _CASELESS_CLASS = re.compile(r"\\[pP]"), re.compile(r"\\[pP]|\[")
_CASELESS = re.compile(r"\(\?[a-zA-Z]*i")


def is_pattern(value: Any) -> bool:
    """Tell whether a text is a pattern that can be matched here; what is no text may pass."""
    if not isinstance(value, str):
        return True
    costly = _CASELESS_CLASS if _CASELESS.search(value) else _CLASS
    if len(value) > _CHARACTERS or len(costly.findall(value)) > _CLASSES:
        return False
    try:
        Draft202012Validator({"pattern": value}, pattern_options=OPTIONS)
    except ValidationError:
        return False
    return True
