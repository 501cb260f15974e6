"""Ids that callers give, as they are remembered: by a hash of a known length."""

import hashlib

DIGITS = 20  # hex: of ten million ids, two alike in one of 10^10 months


def hashed(given: str) -> str:
    """Return what stands for an id that a caller gave."""
    return hashlib.sha256(given.encode()).hexdigest()[:DIGITS]
