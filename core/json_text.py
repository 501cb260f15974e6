"""JSON as all that is stored and sent has it: in few bytes, and of text that UTF-8 can hold.

A string of Python's, and a JSON escape, may hold half of a character (a lone surrogate). No UTF-8
can, so it becomes a question mark wherever text leaves the process.
"""

import json
from typing import Any


def compact(value: Any) -> str:
    """Return a value as one line of JSON. Raises ValueError for NaN and infinities."""
    return compact_bytes(value).decode()


def compact_bytes(value: Any) -> bytes:
    """Return the same in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
