"""Writes everything a running step produces; sends a heartbeat when there is nothing to write.

The threads of a crew post (`unsent`), and one task writes what has gathered; what is too much for
one write goes in several. A write that got no answer is sent again as it was, with its number, until
it is known to be in the log or the lease is over. Only a reservation is waited for: no model is
called before the money is held.
"""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from core.blobs import BlobRef
from core.costs.budget import Refusal
from core.costs.facts import NO_FACTS, Facts
from core.costs.model_choices import TaskOutcome
from core.costs.usage import Usage
from core.crews.call_ledger import Call, CallLedger
from core.crews.claim_calls import ClaimCalls, Whose
from core.crews.journal import StepJournal
from core.crews.late_calls import LateCalls
from core.crews.ledger import Claim, ExpiredError, FencedError, RunLedger, StepWrite
from core.crews.money_queue import MoneyQueue
from core.crews.timing import Timing
from core.crews.tries import Tries
from core.crews.unsent import SettledCall, Unsent
from core.errors import NotFoundError
from core.flows import Flow, events
from core.flows.events import Event
from core.retries import RetryPolicy, deadline
from core.time_of_day import NowMs

T = TypeVar("T")


class EventBuffer:
    """Buffers the events and charges of one claimed step and writes them to the ledger in order.

    Implements `Session`. Create it in the event loop; its methods are thread-safe. `may_call` raises
    where no model call may be begun any more. Whatever ends the step, `close` comes last: a call of
    which nobody knows then whether it was counted is handed to `late_calls`.
    """

    def __init__(
        self,
        ledger: RunLedger,
        call_ledger: CallLedger,
        claim: Claim,
        timing: Timing,
        *,
        whose: Whose,
        now_ms: NowMs,
        may_call: Callable[[], None],
        money: MoneyQueue,
        late_calls: LateCalls,
        tries: Tries,
        journal: StepJournal,
    ) -> None:
        self._ledger, self._call_ledger = ledger, call_ledger
        self._claim, self._timing = claim, timing
        self._now_ms, self._may_call, self._money = now_ms, may_call, money
        self._loop = asyncio.get_running_loop()
        self._posted, self._unsent = asyncio.Event(), Unsent()
        self._seqs = itertools.count(1)  # of writes
        self._message: str | None = None  # that is being written, as the ledger knows it
        self._beat_at = time.monotonic()  # when the lease was renewed last
        self._lost: FencedError | ExpiredError | NotFoundError | None = None
        self._messages_made, self._calls = itertools.count(1), ClaimCalls(claim, whose)
        self._closing = False
        self._late_calls = late_calls
        self.tries, self.journal = tries, journal

    # The Session.

    def post(self, new: list[Event]) -> None:
        """Take what happened; returns at once. Raises what the step was lost by."""
        self.tries.heard(new)
        self._append(events.stamped(new, self._now_ms()))

    def message_id(self) -> str:
        """Return `{flow}.{step}.{epoch}.{n}`; all attempts within the claim count on."""
        claim = self._claim
        return f"{claim.flow}.{claim.step}.{claim.epoch}.{next(self._messages_made)}"

    def reserve(
        self,
        model: str,
        bound: Usage,
        *,
        least_nanodollars: int | None = None,
        prices_version: int = 0,
    ) -> str:
        """Hold the bound of a call, and wait until it is held; return the call's id."""
        self._raise_if_lost()
        self._may_call()
        call = self._calls.new(model, bound, least_nanodollars, prices_version)
        self.journal.keep()
        reserving = asyncio.run_coroutine_threadsafe(self._reserve(call), self._loop)
        try:
            refusal = reserving.result()
            self.journal.wait()
        except Exception:  # a reply was lost, perhaps: it may be held for a call that nobody makes
            self._settle_late(SettledCall(call, Usage(), []))
            raise
        if refusal is not None:
            raise refusal
        self._calls.begin(call)
        self.tries.called(model)
        return call.id

    def settle(self, call: str, usage: Usage, new: list[Event], facts: Facts = NO_FACTS) -> None:
        """Take what a call cost; returns at once. Counts also when the step is over or lost."""
        stamped = events.stamped(new, self._now_ms())
        item = SettledCall(self._calls.end(call), usage, stamped, self.tries.facts(usage, facts))
        try:
            self._append([item])
        except (FencedError, ExpiredError, NotFoundError):
            self._settle_late(item)
            raise
        if self._lost is not None:  # since then; whoever closed it may not have seen this
            self._settle_owed()

    # What the worker does with it.

    async def run_while_flushing(self, running: Coroutine[Any, Any, T]) -> T:
        """Send and beat while this runs; end it at once when the step is lost, and raise that.

        What was not sent when it ended is left for the methods below. Raises UnavailableError when
        the store does not answer until the lease is over.
        """
        self._closing = False
        task = asyncio.create_task(running)
        sending = asyncio.create_task(self._flush_until_closed())
        try:
            await asyncio.wait({task, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            self._closing = True
            self._posted.set()
            await asyncio.gather(task, sending, return_exceptions=True)
        self._raise_if_lost()
        sending.result()
        return task.result()

    async def record_error(self, error: str, *, keep_lease: bool = True) -> None:
        """Write what is unsent, and of what the attempt failed. Raises as `run_while_flushing`.

        Without `keep_lease` the lease ends with it: another attempt may begin at once.
        """
        write = replace(await self._drain(), error=error)
        await self._emit(write, lease_ms=None if keep_lease else 1)
        self._raise_if_lost()

    async def release(self, *, delay_ms: int, reason: str) -> None:
        """Write what is unsent and give the step back. Raises as `run_while_flushing`."""
        await self.journal.flush()
        write, seq = await self._drain(), next(self._seqs)
        self._raise_if_lost()
        await self._retry(
            lambda: self._ledger.release(self._claim, seq, write, delay_ms=delay_ms, reason=reason)
        )
        self._lost = FencedError("it was given back")  # a thread of the step may go on a while

    async def commit(
        self, result: dict[str, Any] | BlobRef, known: Flow, outcome: TaskOutcome | None = None
    ) -> Flow:
        """Store the result with all that is still unsent; return the state that follows `known`.

        Raises FencedError, TooLargeError, UnavailableError.
        """
        self.post(events.step_finished(self._claim.step))
        write = replace(await self._drain(), outcome=outcome, journal=await self.journal.end())
        seq = next(self._seqs)
        self._raise_if_lost()
        return await self._retry(
            partial(self._ledger.commit, self._claim, seq, result, write, known)
        )

    def close(self) -> None:
        """Take no more; have the calls counted that are answered and not known to be."""
        self._lost = self._lost or FencedError("the step is over")
        self._settle_owed()

    # Gathering.

    def _append(self, items: Sequence[Event | SettledCall]) -> None:
        self._raise_if_lost()
        self._unsent.append(items)
        self._loop.call_soon_threadsafe(self._posted.set)

    def _settle_owed(self) -> None:
        for item in self._unsent.take_owed():
            self._settle_late(item)

    def _settle_late(self, item: SettledCall) -> None:
        self._late_calls.settle(self._loop, self._call_ledger, item)

    def _write_due_at(self) -> float:
        """Return when to write next: what is unsent, or a heartbeat if there is nothing."""
        due = self._unsent.due_at()
        return due if due < math.inf else self._beat_due_at()

    def _beat_due_at(self) -> float:
        return self._beat_at + self._timing.beat_seconds

    # Sending.

    async def _flush_until_closed(self) -> None:
        while not self._closing and self._lost is None:
            left = self._write_due_at() - time.monotonic()
            if left > 0:
                self._posted.clear()  # what was posted until now is reckoned with in `left`
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._posted.wait()
                continue
            write = await self._drain()
            if write.events or time.monotonic() >= self._beat_due_at():
                await self._emit(write)

    async def _drain(self) -> StepWrite:
        """Settle the calls that were answered; return what is to be written after the last.

        What of it is too much for one write is written here.
        """
        before: list[Event] = []
        for item in self._unsent.take_all():
            if isinstance(item, SettledCall):
                await self._settle(item, before)
                before = []
            else:
                before.append(item)
        return self._write(await self._emit_full(before))

    async def _emit_full(self, gathered: list[Event]) -> list[Event]:
        """Write as much as makes full writes; return the rest."""
        *full, rest = events.batches(events.merged(gathered))
        for batch in full:
            await self._emit(self._write(batch))
        return rest

    async def _settle(self, item: SettledCall, before: list[Event]) -> None:
        """Count a call. What happened before it, and its answer, go with it where they may."""
        rest = await self._emit_full([*before, *item.events])
        if self._message is not None or events.open_message(rest, None) is not None:
            await self._emit(self._write(rest))  # which message is open is kept with an emit
            rest = []
        if self._lost is None:
            write = partial(self._call_ledger.settle, item.call, item.usage, rest, item.facts)
            await self._write_if_held(write)
            self._unsent.note_counted(item)

    async def _reserve(self, call: Call) -> Exception | None:
        return await self._money.reserve(self._call_ledger, call.tenant, partial(self._hold, call))

    async def _hold(self, call: Call) -> Refusal | None:
        refusal = await self._write_if_held(lambda: self._call_ledger.reserve(call))
        if self._lost is not None:
            self._posted.set()
            raise self._lost
        return refusal

    async def _emit(self, write: StepWrite, lease_ms: int | None = None) -> None:
        seq, began = next(self._seqs), time.monotonic()
        lease_ms = lease_ms or self._timing.lease_ms
        await self._write_if_held(lambda: self._ledger.emit(self._claim, seq, lease_ms, write))
        self._beat_at = began

    def _write(self, batch: list[Event]) -> StepWrite:
        if any(events.is_text(event) for event in batch):
            self._unsent.note_text_written()
        self._message = events.open_message(batch, self._message)
        return StepWrite(batch, self._message)

    async def _write_if_held(self, write: Callable[[], Awaitable[T]]) -> T | None:
        """Send a write, unless the step is lost; or learn from it that it is."""
        if self._lost is not None:
            return None
        try:
            return await self._retry(write)
        except (FencedError, ExpiredError, NotFoundError) as error:
            self._lost = error
            return None

    async def _retry(self, write: Callable[[], Awaitable[T]]) -> T:
        """Send the same write until it is known to be done, or the lease is over.

        After that the step is another worker's. Raises UnavailableError then.
        """
        with deadline(self._beat_at + self._timing.lease_seconds - time.monotonic()):
            return await RetryPolicy().run(write)

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise self._lost
