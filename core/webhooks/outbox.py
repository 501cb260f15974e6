"""The outbox: the flows of which webhooks are still to be sent, and how far each has come.

Alerts of budgets that have an address are in it, too, each by itself.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.due_loop import Due


class WebhookKind(StrEnum):
    """What an address is told of; in this order where one event of the log means several."""

    STEP = "step"
    TASK = "task"
    CREW = "crew"
    HUMAN_INPUT = "human_input"

    @property
    def position(self) -> int:
        """Its place among the webhook events of one event of the log, from 1."""
        return 1 + list(WebhookKind).index(self)


@dataclass(frozen=True, slots=True, order=True)
class DeliveryCursor:
    """How far a log is delivered: event number, then index of the webhook event within it."""

    number: int = 0
    index: int = 0

    @classmethod
    def after(cls, number: int) -> "DeliveryCursor":
        """Return the cursor that has everything of this event behind it."""
        return cls(number, len(WebhookKind) + 1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An outbox entry leased to one dispatcher.

    `epoch` is the number of the lease, and its fencing token. `failures` counts the tries at the
    next webhook event. `disabled_kinds` are those whose address was given up: what is meant for
    them is tried once each.
    """

    flow: str
    epoch: int
    cursor: DeliveryCursor = DeliveryCursor()
    failures: int = 0
    disabled_kinds: frozenset[WebhookKind] = frozenset()
    wait_ms: int = 0  # the last delay between two looks at the log
    asked: DeliveryCursor = DeliveryCursor()  # up to here people were asked, ahead of `cursor`
    alert: str | None = None  # the event of a budget's alert, as JSON; it is of no flow then


@dataclass(frozen=True, slots=True)
class News:
    """A flow of which events after number `seen` are there is due in `soon_ms` at the latest."""

    seen: int
    soon_ms: int


class Outbox(Protocol):
    """Port: the flows of which webhooks are still to be sent, and how far each has come.

    A flow that is launched with webhooks is in it from then on, due at once; whenever its status
    changes, it is due again. Raises UnavailableError.
    """

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[Delivery]:
        """Return at most `limit` flows that are due, at most `per_tenant` of one tenant.

        Nobody else gets them for `lease_ms`. Tenants come in rotation. Costs the same however many
        tenants there are. Flows whose reply was lost come again when the lease is over.
        """
        ...

    async def renew(self, tenant: str, delivery: Delivery, lease_ms: int) -> None:
        """Save how far a flow has come, and keep it for `lease_ms` from now.

        May be sent again. Raises FencedError if it was leased to somebody else since.
        """
        ...

    async def save(
        self, tenant: str, delivery: Delivery, delay_ms: int, news: News | None = None
    ) -> None:
        """Save how far a flow has come, and give it back: it is due in `delay_ms`.

        With `news`, sooner if there is any. May be sent again; raises FencedError likewise.
        """
        ...

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        """Take a flow out for good. May be sent again; raises FencedError likewise."""
        ...
