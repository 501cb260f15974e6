"""The log of a flow as its readers see it: the port `FlowLog`."""

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from core.flows.state import Flow, Head, Summary

FINAL_TYPES = frozenset({"RUN_FINISHED", "RUN_ERROR"})  # of the last event of a log, or of a run


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a flow's log: its number, its AG-UI type, and the whole event as JSON text."""

    number: int
    type: str
    json: str

    @property
    def is_final(self) -> bool:
        """Whether this is its log's last."""
        return self.type in FINAL_TYPES

    @property
    def changes_state(self) -> bool:
        """Whether this is a change of the public state."""
        return self.type == "STATE_DELTA"


Batch = list[Entry]

PAGE_EVENTS = 500
PAGE_CHARACTERS = 512 * 1024  # of JSON; what is longer has a page of its own


def page_of(entries: Iterable[Entry], limit: int) -> Batch:
    """Return the first of these, as many as are in one page: `limit`, or those that fill it."""
    page, characters = Batch(), 0
    for entry in itertools.islice(entries, limit):
        page.append(entry)
        characters += len(entry.json)
        if characters >= PAGE_CHARACTERS:
            break
    return page


def is_full(page: Batch, limit: int) -> bool:
    """Tell whether there may be more after a page than was read."""
    return len(page) >= limit or sum(len(entry.json) for entry in page) >= PAGE_CHARACTERS


class FlowLog(Protocol):
    """Port: reading flows. Nothing here changes a flow.

    `head` and `snapshot` raise NotFoundError for a flow that does not exist or is another tenant's;
    every method raises UnavailableError when the store does not answer.

    A read may be behind: it shows what was true a moment ago, all of it up to some event and
    nothing after, and the next read may show less than this one. With `fresh` it shows all that was
    acknowledged or published before it was asked, for one command more; a flow that exists is found
    by either. Who follows a flow takes a number it has seen for granted and reads again, with
    pauses, while an answer is older; who acts on a state checks it in the script that acts.
    """

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        """Return the newest of a flow; one command at any size of state."""
        ...

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        """Return the whole state, read at one moment."""
        ...

    async def recent(self, tenant: str, limit: int, before: int | None = None) -> list[Summary]:
        """Return at most `limit` flows that come before `before` in the order of creation, newest first."""
        ...

    async def entries(
        self, tenant: str, flow: str, after: int, limit: int, *, fresh: bool = False
    ) -> Batch:
        """Return a page of the events numbered above `after`, in order; [] if there is none.

        It ends with its `limit`th event, or with the one that makes it PAGE_CHARACTERS long; so
        what is read for it does not grow with the rest of the log. The first may have a number above `after + 1`: what lay between was trimmed.
        """
        ...

    def live(self, tenant: str, flow: str) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        """Subscribe: what is appended after entering arrives in batches, perhaps not all of it.

        Entering returns only when the subscription is acknowledged, so a fresh read of `entries`
        that follows misses nothing. A message may arrive before a read shows what it tells of.
        Iteration ends when the subscription is lost. A wait for the next batch may be cancelled
        without losing one.
        """
        ...
