"""Signed wake-ups: whether a request to wake a worker was sent by our queue, and as it is.

QStash signs what it delivers with a JWT (HS256) that names the address and the hash of the body. It
has two keys: the current one, and the next, which it turns to when keys are rotated. A replayed
message passes, and does no harm: a wake-up is a hint.

Source of the claims: QStash's documentation, "Verify request signatures".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import jwt

from core.errors import UnauthenticatedError

ISSUER = "Upstash"
LEEWAY_SECONDS = 5
CLAIMS = ["iss", "sub", "exp", "nbf", "body"]


def verify(signature: str, body: bytes, url: str, keys: Sequence[str]) -> None:
    """Return if one of the keys signed these bytes for this address. Raises UnauthenticatedError."""
    claims = next(filter(None, (_claims(signature, url, key) for key in keys)), None)
    if claims is None:
        raise UnauthenticatedError("the signature is not of our queue, or is over")
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    told = str(claims["body"])
    if not hmac.compare_digest(told.rstrip("=").encode(), digest.rstrip("=").encode()):
        raise UnauthenticatedError("the signature belongs to another body")


def _claims(signature: str, url: str, key: str) -> dict[str, Any] | None:
    try:
        return jwt.decode(
            signature,
            key,
            algorithms=["HS256"],
            issuer=ISSUER,
            subject=url,
            leeway=LEEWAY_SECONDS,
            options={"require": CLAIMS},
        )
    except jwt.InvalidTokenError:
        return None
