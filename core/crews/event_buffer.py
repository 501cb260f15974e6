"""Writes everything a running step produces; sends a heartbeat when there is nothing to write.

Crews run in threads and must not wait for Redis; so they post, and one task sends what has
gathered while the last write was under way. A model's text comes in pieces, many a second: alone
they wait a little, and what has gathered becomes one event. A write that got no answer is sent
again as it was, with its number, until it is known to be in the log. Only a reservation is waited
for, since no model may be called before the money is held.
"""

import asyncio
import contextlib
import itertools
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from core.costs.budgets import BudgetBook, Call
from core.costs.usage import Usage
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, StepWrite
from core.errors import NotFoundError, UnavailableError
from core.flows import Flow, events
from core.flows.events import Event

T = TypeVar("T")

AGAIN_SECONDS = 1.0
GATHER_SECONDS = 0.02  # what happens so close together goes in one write
TEXT_SECONDS = 0.2  # between two events of text: at most five a second
PATIENCE_SECONDS = 120.0  # an outage may last that long before the step is given up


@dataclass(frozen=True, slots=True)
class _Settled:
    """A call whose price is known, with the events of its answer."""

    call: Call
    usage: Usage
    told: list[Event]


class EventBuffer:
    """Buffers the events and charges of one claimed step and writes them to the ledger in order.

    Implements `Session`. Create it in the event loop; its methods are thread-safe.
    """

    def __init__(
        self,
        ledger: RunLedger,
        budgets: BudgetBook,
        claim: Claim,
        *,
        crew: str,
        task: str,
        lease_seconds: float,
        beat_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._ledger, self._budgets, self._claim = ledger, budgets, claim
        self._crew, self._task = crew, task  # for which money is spent
        self._lease_ms, self._beat_seconds = round(lease_seconds * 1000), beat_seconds
        self._now_ms, self._loop = now_ms, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._posted = asyncio.Event()
        self._pending: list[Event | _Settled] = []
        self._seq = 0
        self._message: str | None = None  # that is being written, as the ledger knows it
        self._text_at = -math.inf  # when text was sent last
        self._beat_at = time.monotonic()  # when the lease was renewed last
        self._lost: FencedError | ExpiredError | NotFoundError | None = None
        self._numbers = itertools.count(1)
        self._messages = itertools.count(1)
        self._calls: dict[str, Call] = {}
        self._closing = False

    # The Session.

    def post(self, told: list[Event]) -> None:
        """Take what happened; returns at once. Raises what the step was lost by."""
        self._append(events.stamped(told, self._now_ms()))

    def message_id(self) -> str:
        """Return `{flow}.{step}.{epoch}.{n}`; all attempts within the claim count on."""
        claim = self._claim
        return f"{claim.flow}.{claim.step}.{claim.epoch}.{next(self._messages)}"

    def reserve(self, model: str, bound: Usage) -> str:
        """Hold the bound of a call, and wait until it is held; return the call's id."""
        self._raise_if_lost()
        call = self._call(model, bound)
        asyncio.run_coroutine_threadsafe(self._reserve(call), self._loop).result()
        self._calls[call.id] = call
        return call.id

    def settle(self, call: str, usage: Usage, told: list[Event]) -> None:
        """Take what a call cost; returns at once."""
        told = events.stamped(told, self._now_ms())
        self._append([_Settled(self._calls.pop(call), usage, told)])

    # What the worker does with it.

    async def run_while_flushing(self, running: Coroutine[Any, Any, T]) -> T:
        """Send and beat while this runs; end it at once when the step is lost, and raise that.

        What was not sent when it ended is left for `record_error` or `commit`. Raises UnavailableError
        when an outage lasts too long.
        """
        self._closing = False
        work, sending = asyncio.create_task(running), asyncio.create_task(self._send())
        try:
            await asyncio.wait({work, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            self._closing = True
            self._posted.set()
            await asyncio.gather(work, sending, return_exceptions=True)
        self._raise_if_lost()
        sending.result()
        return work.result()

    async def record_error(self, error: str) -> None:
        """Write all that is unsent, and of what the attempt failed. Raises what `run_while_flushing` does."""
        await self._emit(replace(await self._drain(), error=error))
        self._raise_if_lost()

    async def commit(self, result: dict[str, Any], known: Flow) -> Flow:
        """Store the result with all that is still unsent; return the state that follows `known`.

        Raises FencedError, TooLargeError.
        """
        self.post(events.step_finished(self._claim.step))
        write, self._seq = await self._drain(), self._seq + 1
        return await _retry(
            lambda: self._ledger.commit(self._claim, self._seq, result, write, known)
        )

    # Sending.

    def _call(self, model: str, bound: Usage) -> Call:
        held = self._claim
        return Call(
            held.tenant,
            held.flow,
            held.step,
            held.epoch,
            next(self._numbers),
            model,
            self._crew,
            self._task,
            bound,
        )

    def _append(self, items: Sequence[Event | _Settled]) -> None:
        self._raise_if_lost()
        with self._lock:
            self._pending += items
        self._loop.call_soon_threadsafe(self._posted.set)

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise self._lost

    async def _reserve(self, call: Call) -> None:
        await self._write_if_held(lambda: self._budgets.reserve(call))
        if self._lost is not None:
            self._posted.set()
            raise self._lost

    async def _send(self) -> None:
        """Send until the step is done or lost."""
        while not self._closing and self._lost is None:
            await self._posted_within(self._beat_at + self._beat_seconds - time.monotonic())
            await self._throttle_text()
            await self._debounce()
            await self._throttle_text()  # if that is all that came
            if not self._closing:
                await self._beat(await self._drain())

    async def _posted_within(self, seconds: float) -> None:
        """Return when something was posted, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._posted.wait()
        self._posted.clear()

    async def _debounce(self) -> None:
        """Wait up to 20 ms so that events which follow at once, or the commit, share one write."""
        until = time.monotonic() + GATHER_SECONDS
        while not self._closing and (left := until - time.monotonic()) > 0:
            await self._posted_within(left)

    async def _beat(self, write: StepWrite) -> None:
        """Emit what there is; where there is nothing, only if the lease is to be renewed."""
        if write.events or time.monotonic() >= self._beat_at + self._beat_seconds:
            await self._emit(write)

    async def _throttle_text(self) -> None:
        """Return when there is more than text to send, or the last text was sent long enough ago."""
        while not self._closing and self._only_text():
            left = self._text_at + TEXT_SECONDS - time.monotonic()
            if left <= 0:
                return
            await self._posted_within(left)

    def _only_text(self) -> bool:
        with self._lock:
            pending = list(self._pending)
        return bool(pending) and all(
            not isinstance(item, _Settled) and events.is_text(item) for item in pending
        )

    async def _drain(self) -> StepWrite:
        """Settle the calls that were answered; return what is to be written after the last."""
        with self._lock:
            items, self._pending = self._pending, []
        told: list[Event] = []
        for item in items:
            if isinstance(item, _Settled):
                await self._settle(item, told)
                told = []
            else:
                told.append(item)
        return self._write(told)

    async def _settle(self, item: _Settled, before: list[Event]) -> None:
        """Count a call. What was told before it, and its answer, go with it where they may.

        The ledger keeps with an emit which message is open, so the end of an open one is emitted.
        """
        told = [*before, *item.told]
        if self._message is not None or events.open_message(told, None) is not None:
            await self._emit(self._write(told))
            told = []
        await self._write_if_held(
            lambda: self._budgets.settle(item.call, item.usage, events.merged(told))
        )

    def _write(self, told: list[Event]) -> StepWrite:
        told = events.merged(told)
        if any(events.is_text(event) for event in told):
            self._text_at = time.monotonic()
        self._message = events.open_message(told, self._message)
        return StepWrite(told, self._message)

    async def _emit(self, write: StepWrite) -> None:
        self._seq += 1
        seq, self._beat_at = self._seq, time.monotonic()
        await self._write_if_held(
            lambda: self._ledger.emit(self._claim, seq, self._lease_ms, write)
        )

    async def _write_if_held(self, write: Callable[[], Awaitable[T]]) -> None:
        """Send a write, unless the step is lost; or learn from it that it is."""
        if self._lost is not None:
            return
        try:
            await _retry(write)
        except (FencedError, ExpiredError, NotFoundError) as error:
            self._lost = error


async def _retry(write: Callable[[], Awaitable[T]]) -> T:
    """Send the same write until it is known to be done. Raises UnavailableError in the end."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await write()
        except UnavailableError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(AGAIN_SECONDS)
