"""The hub: one subscription per flow and process, however many look on.

A flow that is followed has a *subscription*: a task that hears it, reads the log's rest, and keeps
the newest events in a bounded buffer, numbered without a gap. A *subscriber* is no more than the
number it has come to; it takes from the buffer what is after that, at its own pace. So a slow one
holds nobody up and costs no memory: what it wants is no longer in the buffer one day, and it goes on
from a snapshot.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from core.flows.log import Batch, FlowLog
from core.flows.state import Flow
from core.flows.subscription import FollowPolicy, Subscription

MIN_READ_SECONDS = 1.0  # a reader who comes with no time left still gets what there is


class Hub:
    """Follows flows over a log; made once per process and used in one event loop."""

    def __init__(self, flow_log: FlowLog, policy: FollowPolicy | None = None) -> None:
        self._log = flow_log
        self._policy = policy or FollowPolicy()
        self._subscriptions: dict[tuple[str, str], Subscription] = {}

    def buffered(self) -> dict[tuple[str, str], int]:
        """Return how many events are kept for each flow (tenant, id) that somebody follows."""
        return {flow: subscription.buffered for flow, subscription in self._subscriptions.items()}

    @asynccontextmanager
    async def subscribe(
        self, tenant: str, flow: str, cursor: str | None
    ) -> AsyncGenerator["Subscriber"]:
        """Subscribe to a flow's events after `cursor` (None: from the start).

        Raises NotFoundError, UnavailableError.
        """
        subscription = self._subscriptions.get((tenant, flow))
        if subscription is None:
            subscription = self._subscriptions[tenant, flow] = Subscription(
                self._log, tenant, flow, self._policy
            )
        subscription.subscribers += 1
        try:
            number = await subscription.join(cursor)
            yield Subscriber(subscription, number)
        finally:
            subscription.subscribers -= 1
            if not subscription.subscribers:
                if self._subscriptions.get((tenant, flow)) is subscription:
                    del self._subscriptions[tenant, flow]
                await subscription.close()


class Subscriber:
    """One reader of a subscription. `head` is the flow's when the subscription began: it names the incarnation."""

    def __init__(self, subscription: Subscription, number: int | None) -> None:
        self.head = subscription.head
        self._subscription = subscription
        self._number = number  # of the last event seen; None: the cursor was no use
        self._replaying = True  # what came before the buffer is read from the log, at first

    @property
    def ended(self) -> bool:
        """Whether this subscriber has seen the last event there will ever be."""
        return self._subscription.ended and self._number == self._subscription.last

    async def items(self, seconds_left: Callable[[], float]) -> AsyncGenerator[Batch | Flow]:
        """Yield what comes, in batches, until the flow or the time ends.

        An empty batch means that nothing happened for 15 s: the moment for a heartbeat. A Flow is
        a snapshot: the cursor was no use, or this subscriber was too slow; what follows is after
        `head.snapshot_event`, so the final event comes in any case.
        Raises UnavailableError.
        """
        while not self.ended:
            # Before looking, or what comes meanwhile would be missed.
            changed = self._subscription.changed
            try:
                async with asyncio.timeout(max(MIN_READ_SECONDS, seconds_left())):
                    item = await self._available()
            except TimeoutError:
                return
            if not item:
                await _wait_for(changed, min(self._subscription.policy.silence, seconds_left()))
            if item or not changed.is_set():
                yield item
            if seconds_left() <= 0:
                return

    async def _available(self) -> Batch | Flow:
        """Return what this subscriber has not seen, [] if there is nothing."""
        subscription = self._subscription
        if self._number is None or (subscription.ended and self._number > subscription.last):
            return await self._snapshot()
        fresh = subscription.after(self._number)
        if fresh is None and self._replaying:
            fresh = await subscription.page(self._number)
        else:
            self._replaying = False
        if fresh is None:
            return await self._snapshot()
        if fresh:
            self._number = fresh[-1].number
        return fresh

    async def _snapshot(self) -> Flow:
        state = await self._subscription.snapshot()
        self._number = state.head.snapshot_event
        self._replaying = state.head.status.terminal  # the final event may be in the log alone
        return state


async def _wait_for(changed: asyncio.Event, seconds: float) -> None:
    """Return when something changed, or after this time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()
