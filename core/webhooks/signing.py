"""Signatures after Standard Webhooks 1.0 (https://www.standardwebhooks.com).

HMAC-SHA256 over `id.timestamp.body`. The id of a webhook event is the same however often it is
sent, so a receiver can drop repetitions.

The scheme is the dozen lines of `signature` and `headers`; the library `standardwebhooks` would bring
httpx and others into every function. It checks our signatures in the tests.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

PURPOSE = b"crewline webhook 1\0"  # and the tenant: no secret signs for two tenants


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for tenants with secrets derived from these: two while they are rotated."""

    secrets: tuple[str, ...] = field(repr=False)

    def headers(self, tenant: str, event_id: str, body: bytes, now: int) -> dict[str, str]:
        """Return the headers that let the receiver check a body; `now` in seconds since 1970."""
        keys = (_key(secret, tenant) for secret in self.secrets)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signature(key, event_id, body, now) for key in keys),
        }


def signature(key: bytes, event_id: str, body: bytes, now: int) -> str:
    """Return what Standard Webhooks puts into its header for one key."""
    mac = hmac.digest(key, f"{event_id}.{now}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def tenant_secret(secret: str, tenant: str) -> str:
    """Return what a tenant's receivers check signatures with, in the form their libraries take."""
    return f"whsec_{base64.b64encode(_key(secret, tenant)).decode()}"


def _key(secret: str, tenant: str) -> bytes:
    return hmac.digest(secret.encode(), PURPOSE + tenant.encode(), hashlib.sha256)
