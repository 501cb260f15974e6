"""Patterns of strangers: ECMA-262's, matched in time that grows with the text alone.

The engine is that of `jsonschema-rs`, Rust's `regex`. It takes neither lookaround nor
back-references. `$` is the end of the text, not the place before a last line break.
"""

import re
from typing import Any

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

OPTIONS = RegexOptions(size_limit=1 << 18)  # bytes of a compiled pattern, which bound a match
RULE = (
    "must be a regular expression of at most 1,000 characters, with at most 6 classes like \\p{L}, "
    "without lookaround and back-references, and not too large when its repetitions are written out"
)
_CHARACTERS, _UNICODE_CLASSES = 1_000, 6  # to compile a class takes up to 0.4 ms
_UNICODE_CLASS = re.compile(r"\\[pP]")


def is_pattern(value: Any) -> bool:
    """Tell whether a value is a pattern that can be matched here; what is no text is none's fault."""
    if not isinstance(value, str):
        return True
    if len(value) > _CHARACTERS or len(_UNICODE_CLASS.findall(value)) > _UNICODE_CLASSES:
        return False
    try:
        Draft202012Validator({"pattern": value}, pattern_options=OPTIONS)
    except ValidationError:
        return False
    return True
