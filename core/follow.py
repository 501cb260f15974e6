"""Following a flow: every event once, in order, from wherever the follower had come to.

Subscribe first, read the log second, then take what arrives and drop what was already read: so
nothing falls between. A number that is skipped is filled from the log before anything later is
handed on. A subscription can die without a word (a half-open connection looks like silence), so
silence costs one read of the log, and a subscription that proves deaf is renewed.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from core import events
from core.flows import Batch, Entry, Flow, FlowLog, Head

PAGE = 500  # events read from the log at a time
SILENCE_SECONDS = 15.0
RENEW_SECONDS = 0.5  # before a lost subscription is asked for again, so an outage is no hot loop
CURSOR = re.compile(r"([0-9a-f]{8})\.(0|[1-9][0-9]{0,14})")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a follower begins: after `number`, preceded by a snapshot if its cursor was no use."""

    head: Head
    number: int
    snapshot: Flow | None = None

    @property
    def ended(self) -> bool:
        """Whether the follower has seen the last event there will ever be."""
        return (
            self.snapshot is None
            and self.head.status.terminal
            and self.number == self.head.sequence
        )


async def start(log: FlowLog, tenant: str, flow: str, cursor: str | None) -> Start:
    """Place a follower; without a cursor at the beginning.

    A cursor that is malformed, ahead, trimmed or of another incarnation gets the whole state and
    goes on from there. Raises NotFoundError.
    """
    head = await log.head(tenant, flow)
    number = 0 if cursor is None else _number(cursor, head)
    if number is not None and await _served(log, tenant, flow, number, head):
        return Start(head, number)
    state = await log.snapshot(tenant, flow)
    return Start(state.head, state.head.sequence, state)


def _number(cursor: str, head: Head) -> int | None:
    match = CURSOR.fullmatch(cursor)
    if match is None or match[1] != head.incarnation:
        return None
    number = int(match[2])
    return number if number <= head.sequence else None


async def _served(log: FlowLog, tenant: str, flow: str, number: int, head: Head) -> bool:
    """Whether the log still holds all after `number`."""
    if number == head.sequence:
        return True
    following = await log.entries(tenant, flow, number, 1)
    return bool(following) and following[0].number == number + 1


async def follow(
    log: FlowLog,
    tenant: str,
    flow: str,
    after: int,
    seconds_left: Callable[[], float],
) -> AsyncGenerator[Batch]:
    """Yield what comes after number `after`, in batches, until the flow or the time ends.

    An empty batch means that nothing happened for 15 s: the moment for a heartbeat. The caller
    closes the iterator. Raises UnavailableError when the log cannot be read.
    """
    follower = _Follower(log, tenant, flow, after)
    while True:
        async with (
            log.live(tenant, flow) as live,
            aclosing(follower.hear(live, seconds_left)) as heard,
        ):
            async for batch in heard:
                yield batch
        if follower.ended or seconds_left() <= RENEW_SECONDS:
            return
        await asyncio.sleep(RENEW_SECONDS)


class _Follower:
    """How far one follower has come."""

    def __init__(self, log: FlowLog, tenant: str, flow: str, after: int) -> None:
        self.log, self.tenant, self.flow = log, tenant, flow
        self.last: int = after
        self.ended: bool = False

    async def hear(
        self, live: AsyncIterator[Batch], seconds_left: Callable[[], float]
    ) -> AsyncGenerator[Batch]:
        """Yield the log's rest, then what `live` brings, while that subscription hears."""
        for batch in await self.catch_up():
            yield batch
        while not self.ended and (left := seconds_left()) > 0:
            try:
                async with asyncio.timeout(min(SILENCE_SECONDS, left)):
                    batch = await anext(live, None)
            except TimeoutError:
                missed = await self.catch_up()
                for batch in missed or [[]]:
                    yield batch
                if missed:
                    return
                continue
            if batch is None:
                return
            if batch[0].number > self.last + 1:
                for filled in await self.catch_up():
                    yield filled
            if fresh := self.advance(batch):
                yield fresh

    async def catch_up(self) -> list[Batch]:
        """Read what the log holds after what was seen, in pages."""
        pages: list[Batch] = []
        while not self.ended:
            page = await self.log.entries(self.tenant, self.flow, self.last, PAGE)
            if fresh := self.advance(page):
                pages.append(fresh)
            if len(page) < PAGE:
                break
        return pages

    def advance(self, batch: Batch) -> Batch:
        """Return what is new of `batch`, and remember that it was seen."""
        fresh: list[Entry] = [entry for entry in batch if entry.number > self.last]
        if fresh:
            self.last = fresh[-1].number
            self.ended = events.is_final(fresh[-1].event)
        return fresh
