"""Pages: what somebody has not seen of a flow, page by page.

One command tells those who are up to date that they are; a second one reads what they lack.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.flows import Batch, Entry, Flow, FlowLog, Head
from core.flows.log import PAGE_CHARACTERS, PAGE_EVENTS

NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Page:
    """The events after a cursor, or the whole state where that cursor was no use.

    `number` is that of the last event which is accounted for.
    """

    head: Head
    number: int
    entries: Batch
    snapshot: Flow | None = None

    @property
    def empty(self) -> bool:
        """Whether this says nothing new."""
        return not self.entries and self.snapshot is None

    @property
    def cursor(self) -> str:
        """Where to go on from."""
        return self.head.cursor(self.number)

    @property
    def more(self) -> bool:
        """Whether there were further events when the head was read."""
        return self.number < self.head.last_event


async def read_page(
    log: FlowLog, tenant: str, flow: str, after: str, *, fresh: bool = False
) -> Page:
    """Return what comes after a cursor, or after an event's number in the present incarnation.

    After a snapshot of a flow that has ended, there is one event more: the final one.

    A cursor beyond a live flow's newest event is one from a reader who was served by a replica that
    is ahead of this one: there is nothing new for it. `fresh` reads all that was published so far.
    Raises NotFoundError, UnavailableError.
    """
    head = await log.head(tenant, flow, fresh=fresh)
    number = int(after) if NUMBER.fullmatch(after) else head.number(after)
    if number is not None and (number == head.last_event or _is_ahead(head, number)):
        return Page(head, number, [])
    if number is not None and number < head.last_event:
        entries = await log.entries(tenant, flow, number, PAGE_EVENTS, fresh=fresh)
        if not entries and not fresh:  # read from a replica behind the one that told the head
            entries = await log.entries(tenant, flow, number, PAGE_EVENTS, fresh=True)
        if entries and entries[0].number == number + 1:
            return await _page(log, tenant, flow, head, list(_fitting(entries)))
    state = await log.snapshot(tenant, flow, fresh=True)
    return Page(state.head, state.head.snapshot_event, [], state)


def _is_ahead(head: Head, number: int) -> bool:
    return number > head.last_event and not head.status.terminal


async def _page(log: FlowLog, tenant: str, flow: str, head: Head, entries: Batch) -> Page:
    """Return a page of these, whose head knows of the end if they do."""
    if entries[-1].is_final and not head.status.terminal:
        head = await log.head(tenant, flow, fresh=True)
    return Page(head, entries[-1].number, entries)


def _fitting(entries: Batch) -> Iterator[Entry]:
    """Yield the first, and as many more as fit into a page."""
    characters = 0
    for entry in entries:
        characters += len(entry.json)
        if characters > PAGE_CHARACTERS and entry is not entries[0]:
            return
        yield entry
