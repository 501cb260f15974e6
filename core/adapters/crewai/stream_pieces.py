"""Pieces of a streamed answer, mended for CrewAI, which reads no text of a piece that tells the usage.

OpenAI tells the usage in a last piece of its own. Others tell it with the `finish_reason`, as DeepSeek
does, or with each piece: CrewAI 1.15 would lose why the answer ended, or all of it.
"""

import json
import re
from collections.abc import Callable
from typing import Any

_END = re.compile(rb"data:\s*\[DONE\]\s*")


class PieceSplitter:
    """Parts usage from text in a stream of server-sent events that comes in chunks of any size."""

    def __init__(self, ended: Callable[[], None] = lambda: None) -> None:
        self._rest = b""  # of a line that has not ended
        self._ended = ended  # called at the protocol's end mark

    def feed(self, chunk: bytes) -> bytes:
        """Return what of the stream can be handed on now."""
        if b"\n" not in chunk:
            self._rest += chunk
            return b""
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest
        return b"".join(self._line(line) + b"\n" for line in lines)

    def end(self) -> bytes:
        """Return the rest of a stream that is over."""
        return self._line(self._rest)

    def _line(self, line: bytes) -> bytes:
        if _END.fullmatch(line):
            self._ended()
        return _parted(line)


def _parted(line: bytes) -> bytes:
    """Return a line as it is, or as two events if it tells of both."""
    if not line.startswith(b"data:") or b'"usage"' not in line:
        return line
    try:
        piece: Any = json.loads(line[5:])
    except (ValueError, RecursionError):
        return line
    if not isinstance(piece, dict) or not piece.get("usage") or not piece.get("choices"):  # pyright: ignore[reportUnknownMemberType]
        return line
    first = json.dumps({**piece, "usage": None})
    last = json.dumps({**piece, "choices": []})
    return f"data: {first}\n\ndata: {last}".encode()
