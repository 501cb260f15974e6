"""Webhooks: telling another service what happens in a flow, by POSTs that it can trust.

What is told is an *occasion*: a step or a task is finished, the flow waits or has ended. Occasions
are found in the flow's log (`core.occasions`), so nothing has to be written down beside it but how
far the telling has come: that is the outbox. A place in it moves on only after the receiver said
yes, so each occasion is told at least once and in order, whenever a deliverer is killed.

Signatures follow Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
`id.timestamp.body`. The id of an occasion is the same however often it is told.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from core.webhook_targets import Target

PURPOSE = b"crewline webhook 1\0"  # and the tenant: no secret signs for two tenants
META = "meta"  # beside the kinds in a flow's `webhooks`: what goes into every body


class Kind(StrEnum):
    """What an address is told of; in this order where one event means several."""

    STEP = "step"
    TASK = "task"
    CREW = "crew"

    @property
    def part(self) -> int:
        """Its place among the occasions of one event."""
        return 1 + list(Kind).index(self)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """How far a log is told: up to this part of the event of this number."""

    number: int = 0
    part: int = 0

    @classmethod
    def after(cls, number: int) -> "Place":
        """The place where all that this event means is told."""
        return cls(number, len(Kind) + 1)


@dataclass(frozen=True, slots=True)
class Occasion:
    """One thing to tell: where to, and the body as JSON."""

    place: Place
    kind: Kind
    url: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """A flow of the outbox in the hands of one deliverer.

    `hold` tells its hands from those that had it before. `failures` counts the tries at the next
    occasion; `dead` are the kinds whose address was given up, which are tried once an occasion.
    """

    flow: str
    hold: int
    place: Place = Place()
    failures: int = 0
    dead: frozenset[Kind] = frozenset()
    wait_ms: int = 0  # how long it was left alone last


class Outbox(Protocol):
    """Port: the flows of which somebody is to be told, and how far that has come.

    A flow that is launched with webhooks is in it from then on. Raises UnavailableError.
    """

    async def tenants(self) -> list[str]:
        """Return the tenants that may have a flow in the outbox."""
        ...

    async def take(self, tenant: str, limit: int, hold_ms: int) -> list[Due]:
        """Return at most `limit` flows that are due; nobody else gets them for `hold_ms`.

        Flows whose reply was lost come again after that.
        """
        ...

    async def keep(self, tenant: str, due: Due, delay_ms: int) -> None:
        """Write down how far a flow is told; it is due in `delay_ms`, and ours until then.

        May be sent again. Raises FencedError if it was taken by somebody else since.
        """
        ...

    async def leave(self, tenant: str, due: Due) -> None:
        """Take a flow out for good. May be sent again; raises FencedError likewise."""
        ...


class UndeliveredError(Exception):
    """A POST was not accepted; the message says why, for our log alone."""


class Poster(Protocol):
    """Port: sends one POST."""

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """Return when the receiver has answered 2xx. Raises UndeliveredError for all else.

        Connects to an address that `core.webhook_targets.reachable` allows and to no other,
        follows no redirect, reads little of the answer, and takes no longer than seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for tenants with secrets derived from these: two while they are rotated."""

    secrets: tuple[str, ...] = field(repr=False)

    def headers(self, tenant: str, occasion: str, body: bytes, now: int) -> dict[str, str]:
        """Return the headers that let the receiver check a body; `now` in seconds since 1970."""
        keys = (_key(secret, tenant) for secret in self.secrets)
        return {
            "webhook-id": occasion,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signature(key, occasion, body, now) for key in keys),
        }


def signature(key: bytes, occasion: str, body: bytes, now: int) -> str:
    """Return what Standard Webhooks puts into its header for one key."""
    mac = hmac.digest(key, f"{occasion}.{now}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def tenant_secret(secret: str, tenant: str) -> str:
    """Return what a tenant's receivers check signatures with, in the form their libraries take."""
    return f"whsec_{base64.b64encode(_key(secret, tenant)).decode()}"


def _key(secret: str, tenant: str) -> bytes:
    return hmac.digest(secret.encode(), PURPOSE + tenant.encode(), hashlib.sha256)
