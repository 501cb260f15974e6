"""The logs of child processes: what a start keeps of them, and what a crash is told by."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

_TAIL_BYTES = 4096
_KEPT_LOG_BYTES = 1024**2  # of what a child wrote before it is started again
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit)\b")


def begin(log: Path) -> int:
    """Shorten a log to what is kept of it, write that a start follows; return its length in bytes."""
    old = log.read_bytes() if log.exists() else b""
    if len(old) > _KEPT_LOG_BYTES:
        log.write_bytes(old[-_KEPT_LOG_BYTES:])
    with log.open("ab") as output:
        if old:
            output.write(f"--- started again at {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}\n".encode())
        return output.tell()


def last_words(written: bytes) -> str:
    """Return the last line of what a child wrote, with the place in the code if it ends a traceback."""
    tail = written[-_TAIL_BYTES:].decode("utf-8", "replace")
    lines = [line.strip() for line in tail.split("\n") if line.strip()]
    if not lines:
        return "it wrote nothing"
    places = [found for line in lines if (found := _PLACE.match(line))]
    if not places or not _EXCEPTION.match(lines[-1]):
        return lines[-1].removeprefix("crewline: ")
    return f"{os.path.relpath(places[-1][1])}:{places[-1][2]} {lines[-1]}"
