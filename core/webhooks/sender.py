"""The port that sends one webhook."""

from collections.abc import Mapping
from typing import Protocol

from core.webhooks.targets import Target


class UndeliveredError(Exception):
    """A POST was not accepted; the message says why, for our log alone."""


class WebhookSender(Protocol):
    """Port: sends one POST."""

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """Return when the receiver has answered 2xx. Raises UndeliveredError for all else.

        Connects to an address that `core.webhooks.addresses.reachable` allows and to no other,
        follows no redirect, reads little of the answer, and takes no longer than seconds.
        """
        ...
