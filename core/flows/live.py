"""The hub: one subscription per flow and process, however many look on.

A flow that is followed has a *subscription*: a task that hears it, reads the log's rest, and keeps
the newest events in a bounded buffer, numbered without a gap. A subscriber is no more than the number it
has come to; it takes from the buffer what is after that, at its own pace. So a slow subscriber holds
nobody up and costs no memory: what it wants is no longer in the buffer one day, and it goes on
from a snapshot.

The order is subscribe, read, then hear; what was read already is dropped, a skipped number is
filled from the log before anything later is handed on. A subscription can die without a word, so
15 s of silence cost one read of the log, and a subscription that proves deaf is renewed. Where no
subscription is to be had, the log is read at growing intervals, until there is one again.
"""

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.errors import UnavailableError
from core.flows import Batch, Entry, Flow, FlowLog, Head, events

log = logging.getLogger(__name__)

PAGE = 500  # events read from the log at a time
BUFFER_EVENTS, BUFFER_CHARACTERS = (
    1000,
    1_000_000,
)  # of a subscription; a subscriber further behind is too slow


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How long things wait, in seconds: a subscription in silence, or where it has no subscription."""

    silence: float = 15.0  # before the log is read, and before a subscriber is given a heartbeat
    first: float = 0.5  # before the next read of the log, and before a lost subscription is renewed
    growth: float = 1.5
    longest: float = 5.0
    subscribe_again: float = 30.0


class Hub:
    """Watches flows over a log; made once per process and used in one event loop."""

    def __init__(self, flow_log: FlowLog, policy: PollPolicy | None = None) -> None:
        self._log = flow_log
        self._policy = policy or PollPolicy()
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}

    @asynccontextmanager
    async def subscribe(
        self, tenant: str, flow: str, cursor: str | None
    ) -> AsyncGenerator["Subscriber"]:
        """Subscribe to a flow's events after `cursor` (None: from the start).

        Raises NotFoundError, UnavailableError.
        """
        subscription = self._subscriptions.get((tenant, flow))
        if subscription is None:
            subscription = self._subscriptions[tenant, flow] = _Subscription(
                self._log, tenant, flow, self._policy
            )
        subscription.subscribers += 1
        try:
            yield await subscription.subscribe(cursor)
        finally:
            subscription.subscribers -= 1
            if not subscription.subscribers:
                if self._subscriptions.get((tenant, flow)) is subscription:
                    del self._subscriptions[tenant, flow]
                await subscription.close()


class Subscriber:
    """One who looks on. `head` is the flow's when the subscription began: it names the incarnation."""

    def __init__(self, subscription: "_Subscription", number: int | None) -> None:
        self.head = subscription.head
        self._subscription = subscription
        self._number = number  # of the last event seen; None: the cursor was no use
        self._replaying = True  # what came before the buffer is read from the log, at first

    @property
    def ended(self) -> bool:
        """Whether this subscriber has seen the last event there will ever be."""
        return self._subscription.ended and (self._number or 0) >= self._subscription.last

    async def items(self, seconds_left: Callable[[], float]) -> AsyncGenerator[Batch | Flow]:
        """Yield what comes, in batches, until the flow or the time ends.

        An empty batch means that nothing happened for 15 s: the moment for a heartbeat. A Flow is
        a snapshot: the cursor was no use, or this subscriber was too slow; what follows is after it.
        Raises UnavailableError.
        """
        while not self.ended:
            changed = (
                self._subscription.changed
            )  # before looking, or what comes meanwhile would be missed
            item = await self._available()
            if not item:
                await _wait_for(changed, min(self._subscription.policy.silence, seconds_left()))
            if item or not changed.is_set():
                yield item
            if seconds_left() <= 0:
                return

    async def _available(self) -> Batch | Flow:
        """Return what this subscriber has not seen, [] if there is nothing."""
        if self._number is None:
            return await self._snapshot()
        fresh = self._subscription.after(self._number)
        if fresh is None and self._replaying:
            fresh = await self._subscription.page(self._number)
        else:
            self._replaying = False
        if fresh is None:
            return await self._snapshot()
        if fresh:
            self._number = fresh[-1].number
        return fresh

    async def _snapshot(self) -> Flow:
        state = await self._subscription.snapshot()
        self._number = state.head.sequence
        return state


class _Subscription:
    """The newest events of one flow, as long as somebody looks on."""

    head: Head

    def __init__(self, flow_log: FlowLog, tenant: str, flow: str, policy: PollPolicy) -> None:
        self._log, self._tenant, self._flow, self.policy = flow_log, tenant, flow, policy
        self.subscribers = 0
        self.last = 0
        self.ended = False
        self.changed = asyncio.Event()  # set, and replaced, when something comes
        self._failure: BaseException | None = None
        self._buffer: deque[Entry] = deque()
        self._characters = 0
        self._start: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def subscribe(self, cursor: str | None) -> Subscriber:
        """Return a subscriber at this cursor; the first one starts the subscription where it has come to."""
        if self._start is None:
            self._start = asyncio.create_task(self._open(cursor))
        await asyncio.shield(self._start)
        number = 0 if cursor is None else self.head.number(cursor)
        if number is not None and number > self.last and not self.ended:
            await self._catch_up()  # it was told more elsewhere than this subscription has heard
        return Subscriber(self, None if number is None or number > self.last else number)

    async def close(self) -> None:
        """Stop: nobody looks on any more."""
        tasks = [task for task in (self._start, self._following) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def after(self, number: int) -> Batch | None:
        """Return what came after this number; None if the buffer no longer reaches back to it."""
        if self._failure:
            raise UnavailableError("the flow cannot be followed") from self._failure
        if number >= self.last:
            return []
        first = self._buffer[0].number if self._buffer else self.last + 1
        if number + 1 < first:
            return None
        return list(itertools.islice(self._buffer, number + 1 - first, None))

    async def page(self, number: int) -> Batch | None:
        """Return what the log has after this number; None if what comes next was trimmed."""
        page = await self._log.entries(self._tenant, self._flow, number, PAGE)
        return page if page and page[0].number == number + 1 else None

    async def snapshot(self) -> Flow:
        """Return the whole state."""
        return await self._log.snapshot(self._tenant, self._flow)

    async def _open(self, cursor: str | None) -> None:
        """Start following; return once subscribed or polling. Does nothing for an ended flow."""
        self.head = await self._log.head(self._tenant, self._flow)
        self.ended = self.head.status.terminal
        self.last = self.head.sequence if self.ended else self._start_cursor(cursor)
        if self.ended:
            return
        ready = asyncio.get_running_loop().create_future()
        self._following = asyncio.create_task(self._follow(ready))
        self._following.add_done_callback(self._stopped)
        await asyncio.wait((self._following, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()

    def _start_cursor(self, cursor: str | None) -> int:
        """Return where the buffer begins: where its first subscriber has come to, if that is near."""
        newest = self.head.sequence
        known = 0 if cursor is None else self.head.number(cursor)
        if known is None or known > newest:
            return newest
        return max(known, newest - BUFFER_EVENTS)

    def _stopped(self, following: asyncio.Task[None]) -> None:
        """Let the subscribers know if the subscription broke; a fault of ours, so it is written down."""
        if not following.cancelled() and (error := following.exception()):
            log.error("the subscription of flow %s broke", self._flow, exc_info=error)
            self._failure = error
            self.changed.set()

    async def _follow(self, ready: asyncio.Future[None]) -> None:
        """Follow the log until it ends; tell `ready` of the first success or failure."""
        while not self.ended:
            try:
                async with self._log.live(self._tenant, self._flow) as live:
                    await self._catch_up()
                    _set_ready(ready)
                    await self._consume(live)
                await asyncio.sleep(self.policy.first)
            except UnavailableError as error:
                log.info("no subscription to flow %s, polling: %s", self._flow, error)
                await self._poll(ready)

    async def _consume(self, live: AsyncIterator[Batch]) -> None:
        """Take what arrives; return when the flow ends or the subscription is of no use."""
        while not self.ended:
            try:
                async with asyncio.timeout(self.policy.silence):
                    batch = await anext(live, None)
            except TimeoutError:
                if await self._catch_up():
                    return
                continue
            if batch is None:
                return
            if batch[0].number > self.last + 1:
                await self._catch_up()
            self._append(batch)

    async def _poll(self, ready: asyncio.Future[None]) -> None:
        """Read the log at growing intervals, until it is time to try a subscription again."""
        wait, waited = self.policy.first, 0.0
        while not self.ended and waited < self.policy.subscribe_again:
            try:
                found = await self._catch_up()
                _set_ready(ready)
            except UnavailableError as error:
                if not ready.done():
                    ready.set_exception(error)
                found = False
            wait = (
                self.policy.first if found else min(wait * self.policy.growth, self.policy.longest)
            )
            await asyncio.sleep(wait)
            waited += wait

    async def _catch_up(self) -> bool:
        """Read what the log holds after what was taken; tell whether there was anything."""
        found = False
        while not self.ended:
            page = await self._log.entries(self._tenant, self._flow, self.last, PAGE)
            found = self._append(page) or found
            if len(page) < PAGE:
                break
        return found

    def _append(self, batch: Batch) -> bool:
        """Put what is new into the buffer and tell the subscribers; return whether there was any."""
        fresh = [entry for entry in batch if entry.number > self.last]
        if not fresh:
            return False
        if fresh[0].number > self.last + 1:  # trimmed before it was read: the buffer begins anew
            self._buffer.clear()
            self._characters = 0
        self._buffer += fresh
        self._characters += sum(len(entry.event) for entry in fresh)
        while len(self._buffer) > BUFFER_EVENTS or self._characters > BUFFER_CHARACTERS:
            self._characters -= len(self._buffer.popleft().event)
        self.last = fresh[-1].number
        self.ended = events.is_final(fresh[-1].event)
        self.changed.set()
        self.changed = asyncio.Event()
        return True


def _set_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _wait_for(changed: asyncio.Event, seconds: float) -> None:
    """Return when something changed, or after this time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()
