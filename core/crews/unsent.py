"""What a running step has posted and nobody has written yet, and when it must be written.

Crews run in threads and must not wait for Redis, so they put what happens here and go on. What
happens within 20 ms goes in one write; a model's text alone is written every 0.8 s at most, since a
write of it costs six commands.

A settled call that was taken out is still owed until its write is known to be done: what ends the
writing leaves it here.
"""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.costs.facts import Facts
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.flows import events
from core.flows.events import Event

GATHER_SECONDS = 0.02  # what happens so close together goes in one write
TEXT_SECONDS = 0.8  # between two writes of text alone: each is six commands


@dataclass(frozen=True, slots=True)
class SettledCall:
    """A call whose price is known, with the events of its answer."""

    call: Call
    usage: Usage
    events: list[Event]
    facts: Facts = field(default_factory=dict[str, int])


class Unsent:
    """Events and settled calls in the order in which they were posted. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[Event | SettledCall] = []
        self._owed: dict[str, SettledCall] = {}  # by the call's id; not known to be counted
        self._first_at = self._urgent_at = math.inf  # when the first of all was posted, and of
        # what is more than text
        self._text_at = -math.inf  # when text was written last

    def append(self, items: Sequence[Event | SettledCall]) -> None:
        """Take what happened."""
        now = time.monotonic()
        with self._lock:
            self._items += items
            self._owed |= {item.call.id: item for item in items if isinstance(item, SettledCall)}
            self._first_at = min(self._first_at, now)
            if any(isinstance(item, SettledCall) or not events.is_text(item) for item in items):
                self._urgent_at = min(self._urgent_at, now)

    def take_all(self) -> list[Event | SettledCall]:
        """Return all there is, which is the caller's from now on."""
        with self._lock:
            items, self._items = self._items, []
            self._first_at = self._urgent_at = math.inf
        return items

    def note_counted(self, item: SettledCall) -> None:
        """Forget a call that the store has counted."""
        with self._lock:
            self._owed.pop(item.call.id, None)

    def take_owed(self) -> list[SettledCall]:
        """Return the calls that are not known to be counted, which are the caller's from now on."""
        with self._lock:
            owed, self._owed = [*self._owed.values()], {}
        return owed

    def note_text_written(self) -> None:
        """Have further text wait."""
        self._text_at = time.monotonic()

    def due_at(self) -> float:
        """Return when to write, by the monotonic clock; infinity if there is nothing."""
        text_due = max(self._first_at + GATHER_SECONDS, self._text_at + TEXT_SECONDS)
        return min(self._urgent_at + GATHER_SECONDS, text_due)
