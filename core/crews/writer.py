"""What a running step writes: events and usage in order, from any thread, and a beat in silence.

Crews run in threads and must not wait for Redis; so they post, and one task sends what has
gathered while the last write was under way. A model's text comes in pieces, many a second: alone
they wait a little, and what has gathered becomes one event. A write that got no answer is sent
again as it was, with its number, until it is known to be in the log.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from core import events
from core.costs.usage import Usage
from core.crews.ledger import Claim, FencedError, RunLedger, Write
from core.errors import UnavailableError
from core.flows import Flow

T = TypeVar("T")

AGAIN_SECONDS = 1.0
TEXT_SECONDS = 0.2  # between two events of text: at most five a second
PATIENCE_SECONDS = 120.0  # an outage may last that long before the step is given up


class StepWriter:
    """The pen of one claim; made and used in the event loop, posted to from anywhere."""

    def __init__(
        self, ledger: RunLedger, claim: Claim, *, lease_seconds: float, beat_seconds: float
    ) -> None:
        self._ledger, self._claim = ledger, claim
        self._lease_ms, self._beat_seconds = int(lease_seconds * 1000), beat_seconds
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._posted = asyncio.Event()
        self._pending: list[Write] = []
        self._seq = 0
        self._message: str | None = None  # that is being written
        self._text_at = -math.inf  # when text was sent last
        self._closing = False
        self._fenced = False

    def post(self, write: Write) -> None:
        """Take what happened; returns at once. Raises FencedError if the step was lost."""
        if self._fenced:
            raise FencedError
        stamped = events.stamped(write.events, time.time_ns() // 1_000_000)
        with self._lock:
            self._pending.append(Write(stamped, write.usage))
        self._loop.call_soon_threadsafe(self._posted.set)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Send and beat for as long as this is entered; what was begun is finished on leaving."""
        sending = asyncio.create_task(self._send())
        try:
            yield
        finally:
            self._closing = True
            self._posted.set()
            with contextlib.suppress(FencedError):
                await sending

    async def commit(self, result: dict[str, Any]) -> Flow:
        """Store the result with all that is still unsent. Raises FencedError."""
        self.post(Write(events.step_finished(self._claim.step)))
        write, self._seq = self._gathered(), self._seq + 1
        return await _insist(lambda: self._ledger.commit(self._claim, self._seq, result, write))

    async def _send(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._posted.wait()
            self._posted.clear()
            await self._text_may_wait()
            if not self._closing:
                await self._emit(self._gathered())

    async def _text_may_wait(self) -> None:
        """Return when there is more than text to send, or the last text was sent long enough ago."""
        while not self._closing and self._only_text():
            left = self._text_at + TEXT_SECONDS - time.monotonic()
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._posted.wait()
            self._posted.clear()

    def _only_text(self) -> bool:
        with self._lock:
            posted = [event for write in self._pending for event in write.events]
        return bool(posted) and all(events.is_text(event) for event in posted)

    async def _emit(self, write: Write) -> None:
        self._seq += 1
        try:
            await _insist(lambda: self._ledger.emit(self._claim, self._seq, self._lease_ms, write))
        except FencedError:
            self._fenced = True
            raise

    def _gathered(self) -> Write:
        with self._lock:
            writes, self._pending = self._pending, []
        used = [write.usage for write in writes if write.usage]
        told = events.merged([event for write in writes for event in write.events])
        if any(events.is_text(event) for event in told):
            self._text_at = time.monotonic()
        self._message = events.open_message(told, self._message)
        return Write(told, sum(used, start=Usage()) if used else None, self._message)


async def _insist(write: Callable[[], Awaitable[T]]) -> T:
    """Send the same write until it is known to be done. Raises UnavailableError in the end."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await write()
        except UnavailableError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(AGAIN_SECONDS)
