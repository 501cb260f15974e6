"""The journal of a step: what its agent has heard from models and tools, so that it can go on there.

A step is a loop of model calls and tools. One that is begun again, since its worker was killed or its
time was up, asks the same again: what the journal knows is answered from it, at no cost, and what it
does not know runs live. So a prompt that has changed meanwhile costs money, and never an answer.

A step that is done needs no journal: its last answer is in none, nor is the only one of most steps. A
try that has failed is forgotten, or the next one would fail by the same answers.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Collection, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from core.blobs import BlobRef, flow_prefix
from core.crews.ledger import Claim, ExpiredError, FencedError
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows.values import LargeValues
from core.json_text import compact

log = logging.getLogger(__name__)
T = TypeVar("T")

GATHER_SECONDS = 0.02  # what is heard so close together goes in one write
ONCE = "once."  # begins the keys of tools that must not run twice: no try forgets them
_GREW = "grew"  # the entry that holds in which attempt anything was kept last


class Journals(Protocol):
    """Port: the journals of steps. All of a flow go when it ends.

    A flow that is gone raises NotFoundError; a store that does not answer, UnavailableError; an entry
    that it cannot take, TooLargeError.
    """

    async def entries(self, claim: Claim) -> dict[str, str]:
        """Return what was kept for the step, by key; all of it, also what was kept a moment ago."""
        ...

    async def keep(self, claim: Claim, entries: Mapping[str, str]) -> None:
        """Keep entries of the step; one takes the place of another of its key. Raises FencedError."""
        ...

    async def forget(self, claim: Claim, keys: Collection[str]) -> None:
        """Remove entries of the step; those that are not there are passed over."""
        ...


class NoJournals:
    """Keeps nothing: a step that is begun again begins with its first call."""

    async def entries(self, claim: Claim) -> dict[str, str]:
        """Return nothing."""
        del claim
        return {}

    async def keep(self, claim: Claim, entries: Mapping[str, str]) -> None:
        """Keep nothing."""

    async def forget(self, claim: Claim, keys: Collection[str]) -> None:
        """Have nothing to forget."""


class StepJournal:
    """The journal in the hands of one claim. Made in the event loop; for use from the step's threads.

    It knows what earlier claims heard. Entries are JSON values. `has_grown` tells whether this one kept
    anything, `grew_at` in which attempt one did that last, 0 for none.

    What is noted is written within 20 ms, and by `keep` at once: a step waits for it before its next
    model call, beside the reservation. What cannot be written costs money if the step is begun again.
    """

    def __init__(
        self,
        journals: Journals,
        values: LargeValues,
        claim: Claim,
        incarnation: str,
        entries: Mapping[str, str],
    ) -> None:
        self._journals, self._values, self._claim = journals, values, claim
        self._blobs = f"{flow_prefix(claim.flow)}{incarnation}/journal/{claim.step}/"
        self._loop, self._lock = asyncio.get_running_loop(), threading.Lock()
        self._known = {key: json.loads(entry) for key, entry in entries.items()}
        self._noted, self._kept = dict[str, Any](), set(self._known)
        self._beside = dict[str, Any]()
        self._writing = set[Future[None]]()
        self.grew_at: int = self._known.get(_GREW, 0)
        self.has_grown = False

    @classmethod
    async def of(
        cls, journals: Journals, values: LargeValues, claim: Claim, incarnation: str
    ) -> "StepJournal":
        """Return the journal of a step that was claimed. Raises NotFoundError, UnavailableError."""
        entries = await journals.entries(claim) if claim.epoch > 1 else {}
        return cls(journals, values, claim, incarnation, entries)

    def known(self, key: str) -> Any | None:
        """Return an entry, or None. Not for the event loop's thread: a large one is waited for."""
        entry = self._entry(key)
        return self._start(self.find(key)).result() if _is_large(entry) else entry

    async def find(self, key: str) -> Any | None:
        """Return an entry, or None."""
        entry = self._entry(key)
        if not _is_large(entry):
            return entry
        ref = BlobRef(entry["blob"], entry["bytes"])
        try:
            return await self._values.load(self._claim.tenant, ref)
        except (NotFoundError, UnavailableError) as error:
            log.warning("a call is made again: its answer cannot be read", exc_info=error)
            return None

    def _entry(self, key: str) -> Any:
        with self._lock:
            return self._known.get(key)

    def note(self, key: str, entry: Any) -> None:
        """Take an entry, to be written with the next that is."""
        with self._lock:
            self._noted[key] = entry

    def note_beside(self, key: str, entry: Any) -> None:
        """Take an entry that is of use beside others only: it is written with the first of these."""
        with self._lock:
            self._beside[key] = entry

    def note_new(self, key: str, entry: Any) -> None:
        """Take an entry, unless there is one of this key."""
        with self._lock:
            if key not in self._kept:
                self._noted.setdefault(key, entry)

    def keep_soon(self) -> None:
        """Have what was noted written, with what is noted in the next moment."""
        self._loop.call_soon_threadsafe(self._loop.call_later, GATHER_SECONDS, self.keep)

    def keep(self) -> None:
        """Begin to write what was noted; returns at once. `wait` tells when it is done."""
        if (noted := self._take()) is not None:
            writing = self._start(self._keep_gladly(noted))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    def wait(self) -> None:
        """Wait until what was noted is written, as far as it can be."""
        self.keep()
        for writing in list(self._writing):
            writing.result()

    async def flush(self) -> None:
        """Wait for the same, in the event loop."""
        self.keep()
        await self._written()

    async def _written(self) -> None:
        await asyncio.gather(*(asyncio.wrap_future(each) for each in list(self._writing)))

    def keep_surely(self) -> None:
        """Write what was noted and wait for that. Raises what the port does."""
        if (noted := self._take()) is not None:
            self._start(self._keep(noted)).result()

    async def end(self) -> tuple[str, ...]:
        """Take it that the step is done: write nothing more, and return the keys of what was written."""
        with self._lock:
            self._noted = {}
        await self._written()
        return tuple(self._kept)

    async def forget_try(self) -> None:
        """Forget what a try has heard that has failed, but for what must not run twice."""
        gone = {key for key in await self.end() if not _stays(key)}
        with self._lock:
            self._kept -= gone
            self._known = {key: entry for key, entry in self._known.items() if key in self._kept}
        try:
            if gone:
                await self._journals.forget(self._claim, gone)
        except (NotFoundError, UnavailableError) as error:
            log.warning("the journal of a step is forgotten later, with its flow", exc_info=error)

    def _take(self) -> dict[str, Any] | None:
        """Return what was noted and nobody has written; None for nothing."""
        with self._lock:
            noted, self._noted = self._noted, {}
            if not noted:
                return None
            noted, self._beside = self._beside | noted, {}
            self._known |= {key: entry for key, entry in noted.items() if _stays(key)}
            self._kept |= noted.keys() | {_GREW}
        return noted | {_GREW: self._claim.attempt}

    async def _keep_gladly(self, noted: Mapping[str, Any]) -> None:
        try:
            await self._keep(noted)
        except (FencedError, ExpiredError, NotFoundError):  # whoever writes next is told, too
            pass
        except (TooLargeError, UnavailableError) as error:
            log.warning("an answer is not kept in the journal", exc_info=error)

    async def _keep(self, noted: Mapping[str, Any]) -> None:
        kept = dict[str, str]()
        for key, entry in noted.items():
            value = await self._values.keep(self._claim.tenant, self._blobs + key, entry)
            is_large = isinstance(value, BlobRef)
            kept[key] = compact({"blob": value.blob, "bytes": value.bytes} if is_large else value)
        await self._journals.keep(self._claim, kept)
        self.has_grown = True

    def _start(self, running: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(running, self._loop)


def _stays(key: str) -> bool:
    return key == _GREW or key.startswith(ONCE)


def _is_large(entry: Any) -> bool:
    return isinstance(entry, dict) and "blob" in entry
