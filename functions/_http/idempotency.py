"""The header Idempotency-Key: under one, a request that is sent again is the same request."""

import re

from starlette.requests import Request

from core.errors import InvalidInputError

KEY = re.compile(r"[ -~]{1,255}")
RULE = "must have 1 to 255 characters of visible ASCII or blanks"


def key(request: Request) -> str | None:
    """Return the key that a request brings; None without one. Raises InvalidInputError."""
    found = request.headers.get("idempotency-key")
    if found is not None and not KEY.fullmatch(found):
        raise InvalidInputError("a parameter is wrong", {"/header/idempotency-key": RULE})
    return found
