"""Times as requests give them."""

from datetime import datetime

FUTURE_MS = 5 * 60_000  # by which the clock of whoever says it may be ahead


def time_ms(text: str | None, now_ms: int) -> int:
    """Return a time in ISO 8601; now where none is given. Raises ValueError for what is none, or to come."""
    if text is None:
        return now_ms
    try:
        at = datetime.fromisoformat(text)
        at_ms = round(at.timestamp() * 1000) if at.tzinfo else -1
    except (ValueError, OverflowError):
        at_ms = -1
    if at_ms < 0:
        raise ValueError("must be a time with its zone, such as 2026-11-25T12:00:00Z")
    if at_ms > now_ms + FUTURE_MS:
        raise ValueError("lies in the future")
    return at_ms
