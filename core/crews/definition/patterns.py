"""Patterns of strangers, matched by RE2, in time that grows with the text alone.

RE2 takes neither lookaround nor back-references; `$` is the end of the text, as in ECMA-262, and not
the place before a last line break.
"""

import re
from functools import lru_cache
from typing import Any

PATTERN_CHARACTERS = 1_000
UNICODE_CLASSES = 4  # of a pattern, like \p{L}: RE2 takes up to 0.4 ms to compile one
PATTERN_BYTES = 1 << 18  # of a compiled pattern; what a match costs is bounded by it
_UNICODE_CLASS = re.compile(r"\\[pP]")


class PatternError(ValueError):
    """This pattern cannot be matched here; the message says why."""


def compiled(pattern: str) -> Any:
    """Return RE2's pattern for one of ECMA-262's. Raises PatternError."""
    made = _compiled(pattern)
    if isinstance(made, PatternError):
        raise made
    return made


@lru_cache(1_000)
def _compiled(pattern: str) -> Any:
    """Return RE2's pattern, or the PatternError of one that it does not take."""
    import re2  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] -- only crews with patterns pay for it at a cold start

    engine: Any = re2

    if len(pattern) > PATTERN_CHARACTERS:
        return PatternError(f"a pattern may have at most {PATTERN_CHARACTERS} characters")
    if len(_UNICODE_CLASS.findall(pattern)) > UNICODE_CLASSES:
        return PatternError(f"a pattern may have at most {UNICODE_CLASSES} classes like \\p{{L}}")
    options = engine.Options()
    options.max_mem, options.log_errors = PATTERN_BYTES, False
    try:
        return engine.compile(pattern, options)
    except (engine.error, UnicodeError) as error:
        said: Any = error.args[0]
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return PatternError(f"no regular expression that RE2 takes: {reason}")


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern is somewhere in a text. Raises PatternError."""
    # Over bytes: over a text re2 counts the characters up to each group, too.
    return compiled(pattern).search(text.encode("utf-8", "surrogatepass")) is not None
