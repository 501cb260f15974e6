"""Ids of flows: the same request makes the same one, whatever it was sent as.

An Idempotency-Key, an AG-UI run and a redrive are told apart by a NUL, which no header, no tenant and
no id can have, so none of them is ever taken for another, nor for that of another tenant.
"""

import hashlib
import json
from collections.abc import Callable


def of_launch(tenant: str, key: str | None, new_id: Callable[[], str]) -> str:
    """Return the id that belongs to this tenant's key, or a random one where no key is sent."""
    return f"fl_{new_id()}" if key is None else _id(tenant, key)


def of_redrive(tenant: str, flow: str) -> str:
    """Return the id of what this flow is begun anew as."""
    return _id(tenant, f"redrive\0{flow}")


def run_key(thread: str, run: str) -> str:
    """Return the key of an AG-UI run, which is the Idempotency-Key of no request."""
    return "agui\0" + json.dumps([thread, run])


def _id(tenant: str, key: str) -> str:
    return "fl_" + hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()[:32]
