"""One subscription to one flow: what is new of it, numbered without a gap.

The order is subscribe, read, then hear; what was read already is dropped, a skipped number is
filled from the log before anything later is handed on. A subscription can die without a word, so
15 s of silence cost one read of the log, and a subscription that proves deaf is renewed. Where no
subscription is to be had, the log is read at growing intervals, until there is one again.

Messages come before the reads that show what they tell of, as reads may be served by a replica. So
what is known to be there is read fresh, and again with growing pauses while it does not show; only
a later number in its place says that it was trimmed. No snapshot is older than what was heard.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from core.errors import UnavailableError
from core.flows.log import PAGE_EVENTS, Batch, Entry, FlowLog, is_full
from core.flows.state import Flow, Head

log = logging.getLogger(__name__)

BUFFER_EVENTS, BUFFER_CHARACTERS = 1000, 1_000_000  # who is further behind is too slow
REREAD_SECONDS = 0.02  # the first pause


@dataclass(frozen=True, slots=True)
class FollowPolicy:
    """How long things wait, in seconds: a subscription in silence, or where it has no subscription."""

    silence: float = 15.0  # before the log is read, and before a subscriber is given a heartbeat
    first: float = 0.5  # before the next read of the log, and before a lost subscription is renewed
    growth: float = 1.5
    longest: float = 5.0
    subscribe_again: float = 30.0
    stale: float = 10.0  # for what must be there to show; then the store counts as away

    async def rereads(self) -> AsyncGenerator[None]:
        """Yield at each time to read what must be there: at once, then after growing pauses.

        Raises UnavailableError when it should have shown long ago.
        """
        pause, waited = REREAD_SECONDS, 0.0
        while waited <= self.stale:
            yield
            await asyncio.sleep(pause)
            waited += pause
            pause = min(2 * pause, self.first)
        raise UnavailableError("the store does not show what it announced")


class Subscription:
    """The newest events of one flow, as long as somebody looks on."""

    head: Head

    def __init__(self, flow_log: FlowLog, tenant: str, flow: str, policy: FollowPolicy) -> None:
        self._log, self._tenant, self._flow, self.policy = flow_log, tenant, flow, policy
        self._fields = {"tenant": tenant, "flow": flow, "request_id": None}  # of no one request
        self.subscribers = 0
        self.last = 0
        self.ended = False
        self.changed = asyncio.Event()  # set, and replaced, when something comes
        self._failure: BaseException | None = None
        self._buffer: deque[Entry] = deque()
        self._characters = 0
        self._start: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def buffered(self) -> int:
        """How many events are kept."""
        return len(self._buffer)

    async def join(self, cursor: str | None) -> int | None:
        """Return the number a reader at this cursor goes on from; None if the cursor is no use.

        The first one starts the subscription where it has come to. Raises NotFoundError,
        UnavailableError.
        """
        if self._start is None:
            self._start = asyncio.create_task(self._open(cursor))
        await asyncio.shield(self._start)
        number = 0 if cursor is None else self.head.number(cursor)
        if number is not None and number > self.last and not self.ended:
            # It was told more elsewhere than this subscription has heard: if that does not show
            # now, it will, and this subscriber waits for what comes after it.
            await self._catch_up(fresh=True)
        return number if self._possible(number) else None

    def _possible(self, number: int | None) -> bool:
        """Tell whether there was or may yet be an event of this number."""
        return number is not None and (number <= self.last or not self.ended)

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
        """Return what the log has after this number, not the last; None if what comes next was trimmed."""
        page = await self._log.entries(self._tenant, self._flow, number, PAGE_EVENTS)
        page = page or await self._reread(number)
        return page if page[0].number == number + 1 else None

    async def snapshot(self) -> Flow:
        """Return the whole state, as of the newest event that was heard or later."""
        return await snapshot_at(self._log, self._tenant, self._flow, self.last, self.policy)

    async def _reread(self, number: int) -> Batch:
        """Read what comes after a number that is not the last, until it shows."""
        async with aclosing(self.policy.rereads()) as times:
            async for _ in times:
                page = await self._log.entries(
                    self._tenant, self._flow, number, PAGE_EVENTS, fresh=True
                )
                if page:
                    return page
        raise AssertionError

    async def _open(self, cursor: str | None) -> None:
        """Start following; return once subscribed or polling. Does nothing for an ended flow."""
        self.head = await self._log.head(self._tenant, self._flow)
        self.ended = self.head.status.terminal
        self.last = self.head.last_event if self.ended else self._start_cursor(cursor)
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
        newest = self.head.last_event
        known = 0 if cursor is None else self.head.number(cursor)
        if known is None or known > newest:
            return newest
        return max(known, newest - BUFFER_EVENTS)

    def _stopped(self, following: asyncio.Task[None]) -> None:
        """Let the subscribers know if the subscription broke; a fault of ours, so it is written down."""
        if not following.cancelled() and (error := following.exception()):
            log.error("a subscription broke", extra=self._fields, exc_info=error)
            self._failure = error
            self.changed.set()

    async def _follow(self, ready: asyncio.Future[None]) -> None:
        """Follow the log until it ends; tell `ready` of the first success or failure."""
        while not self.ended:
            try:
                async with self._log.live(self._tenant, self._flow) as live:
                    await self._catch_up(fresh=True)
                    _set_ready(ready)
                    await self._consume(live)
                await asyncio.sleep(self.policy.first)
            except UnavailableError as error:
                log.info("no subscription, polling: %s", error, extra=self._fields)
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
            while batch[0].number > self.last + 1:  # a message was lost
                self._append(await self._reread(self.last))
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

    async def _catch_up(self, *, fresh: bool = False) -> bool:
        """Read what the log holds after what was taken; tell whether there was anything."""
        found = False
        while not self.ended:
            page = await self._log.entries(
                self._tenant, self._flow, self.last, PAGE_EVENTS, fresh=fresh
            )
            found = self._append(page) or found
            if not is_full(page, PAGE_EVENTS):
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
        self._characters += sum(len(entry.json) for entry in fresh)
        while len(self._buffer) > BUFFER_EVENTS or self._characters > BUFFER_CHARACTERS:
            self._characters -= len(self._buffer.popleft().json)
        self.last = fresh[-1].number
        self.ended = fresh[-1].is_final
        self.changed.set()
        self.changed = asyncio.Event()
        return True


async def snapshot_at(
    flow_log: FlowLog, tenant: str, flow: str, number: int, policy: FollowPolicy | None = None
) -> Flow:
    """Return the state as of this event, of which the caller has heard, or of a later one.

    Raises NotFoundError, and UnavailableError if the store does not show it for long.
    """
    async with aclosing((policy or FollowPolicy()).rereads()) as times:
        async for _ in times:
            state = await flow_log.snapshot(tenant, flow, fresh=True)
            if state.head.last_event >= number:
                return state
    raise AssertionError


def _set_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
