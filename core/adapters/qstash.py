"""Wake-ups over QStash: it posts to the worker's address, signed, and again if that fails.

QStash signs what it delivers with a JWT (HS256) that names the address and the hash of the body. It
has two keys: the current one, and the next, which it turns to when keys are rotated. A replayed
message passes, and does no harm: a wake-up is a hint.

Source of the claims: QStash's documentation, "Verify request signatures".
"""

import asyncio
import base64
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import jwt

from core.errors import UnauthenticatedError, UnavailableError

ISSUER = "Upstash"
LEEWAY_SECONDS = 5
CLAIMS = ["iss", "sub", "exp", "nbf", "body"]

RETRIES = 3  # of a delivery; after them the sweep sends another message
TIMEOUT_SECONDS = 5.0


class QStashWakeQueue:
    """Publishes to one worker, `POST /v1/worker` of functions.crew_worker."""

    def __init__(self, url: str, token: str, worker_url: str) -> None:
        self._url = f"{url.rstrip('/')}/v2/publish/{worker_url}"
        self._headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "upstash-retries": str(RETRIES),
        }

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Publish a message. Raises UnavailableError; one that was sent after all does no harm."""
        body = json.dumps({"tenant": tenant, "flow": flow}).encode()
        await asyncio.to_thread(self._publish, body)

    def _publish(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 -- the address is the deployment's
            self._url, body, self._headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 -- likewise
                return
        except urllib.error.HTTPError as error:
            raise UnavailableError(f"QStash answers {error.code}") from error
        except OSError as error:
            raise UnavailableError("QStash does not answer") from error


class QStashVerifier:
    """Checks QStash's signatures with its current and its next signing key."""

    def __init__(self, signing_keys: Sequence[str]) -> None:
        self._keys = signing_keys

    def verify(self, signature: str, body: bytes, url: str) -> None:
        """Return if one of the keys signed these bytes for this address; else raise."""
        claims = next(filter(None, (_claims(signature, url, key) for key in self._keys)), None)
        if claims is None:
            raise UnauthenticatedError("the signature is not of our queue, or is over")
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
        signed = str(claims["body"])
        if not hmac.compare_digest(signed.rstrip("=").encode(), digest.rstrip("=").encode()):
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
