"""A loop that takes due work from a store and runs it, so much at once as a process has room for.

Two limits hold: `Room.concurrency` for the process, and `Room.per_tenant` for each tenant, so that one
tenant's work that hangs holds nobody else's up. What is taken beyond a tenant's share waits here for
it; what finds no place to wait is given back to the store, where that can be done, or else comes again
when its lease is over.

The loop sleeps until the store says that the next work is due, or until it is woken. Nothing that goes
wrong in one turn ends it.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core import logs
from core.errors import UnavailableError

log = logging.getLogger(__name__)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Due(Generic[Item]):
    """(tenant, item) of what is due now, leased, and for how many ms there is nothing more to do.

    `next_ms` is 0 if more is due already, None if nothing waits at all. It may be too short, as when
    a lease was renewed since, but never too long.
    """

    items: Sequence[tuple[str, Item]]
    next_ms: int | None


@dataclass(frozen=True, slots=True)
class Room:
    """How much runs at once: in this process, and of one tenant in it."""

    concurrency: int
    per_tenant: int

    @classmethod
    def shared(cls, concurrency: int) -> "Room":
        """Return a room of which a tenant may have half: whatever hangs for one, others have theirs."""
        return cls(concurrency, max(1, concurrency // 2))


class NoPlaceError(Exception):
    """All places of this tenant, or of the process, were taken for as long as there was time."""


class Places:
    """The places of a room, for work that is handed to a process in place of being taken by it."""

    def __init__(self, room: Room) -> None:
        self._all = asyncio.Semaphore(room.concurrency)
        self._of = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(room.per_tenant))

    @asynccontextmanager
    async def place(self, tenant: str, seconds: float) -> AsyncGenerator[None]:
        """Hold a place of this tenant's share. Raises NoPlaceError if there is none for `seconds`."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(seconds):
                    await held.enter_async_context(self._of[tenant])
                    await held.enter_async_context(self._all)
            except TimeoutError:
                raise NoPlaceError from None
            yield


@dataclass(frozen=True, slots=True)
class Idle:
    """How long the loop sleeps, in seconds: `shortest` after work, `longest` when nothing is due.

    After a turn that went wrong it sleeps `after_error`, twice that after the next, up to `longest`.
    """

    shortest: float = 0.1
    longest: float = 5.0
    after_error: float = 0.5

    def seconds(self, next_ms: int | None, empty_turns: int) -> float:
        """Return how long to sleep when nothing was started, `empty_turns` times in a row.

        The store may say "now" without anything coming of it: then it is asked ever less often.
        """
        if next_ms is None:
            return self.longest
        if next_ms > 0:
            return min(max(next_ms / 1000, self.shortest), self.longest)
        return min(self.shortest * 2 ** min(empty_turns, 16), self.longest)

    def seconds_after_error(self, errors: int) -> float:
        """Return how long to sleep after so many turns in a row that went wrong."""
        return min(self.after_error * 2 ** min(errors - 1, 16), self.longest)


Lease = Callable[[int, int], Awaitable[Due[Item]]]  # at most so many, at most so many of a tenant
Run = Callable[[str, Item], Awaitable[None]]
GiveBack = Callable[[str, Item], Awaitable[None]]  # after a while it is due again


@dataclass(slots=True)
class DueLoop(Generic[Item]):
    """Runs what `lease` returns. `name` is what the log calls the work.

    Set `woken` to have it look at once. One object is one loop; it belongs to one event loop.
    """

    name: str
    lease: Lease[Item]
    run: Run[Item]
    room: Room
    idle: Idle = Idle()
    give_back: GiveBack[Item] | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[asyncio.Task[None], str] = field(default_factory=dict[asyncio.Task[None], str])
    _shares: Counter[str] = field(default_factory=Counter[str])
    _waiting: deque[tuple[str, Item]] = field(default_factory=deque[tuple[str, Item]])
    _giving_back: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _stopped: asyncio.Event | None = None  # of run_forever

    async def run_forever(self, stopped: asyncio.Event) -> None:
        """Run what becomes due until `stopped`; then finish what runs and leave the rest."""
        self._stopped = stopped
        empty_turns = errors = 0
        while not stopped.is_set():
            self.woken.clear()
            try:
                started, next_ms = await self._turn()
            except Exception as error:  # noqa: BLE001 -- a turn that fails must not end the loop
                errors += 1
                self._log(error, errors)
                seconds = self.idle.seconds_after_error(errors)
                await _first_set(seconds, stopped)  # being woken is no reason to ask sooner
                continue
            errors, empty_turns = 0, 0 if started else empty_turns + 1
            seconds = self.idle.shortest if started else self.idle.seconds(next_ms, empty_turns)
            await _first_set(seconds, stopped, self.woken)
        self._waiting.clear()
        await self._finish()

    async def run_due(self, limit: int, stopped: Callable[[], bool]) -> int:
        """Run what is due now, at most `limit`; return how many were run.

        When `stopped` says so, what runs is finished and the rest stays due. Raises what `lease` does.
        """
        started = 0
        try:
            while started < limit and not stopped():
                await self._wait_for_room()
                found = await self._lease(limit - started)
                if not found.items:
                    break
                started += len(found.items)
        finally:
            await self._finish()
        return started

    def offer(self, tenant: str, item: Item) -> None:
        """Run this if there is room; have it wait for its tenant's share, or give it back otherwise."""
        full = len(self._running) >= self.room.concurrency
        if self._stopped is not None and self._stopped.is_set():
            self._leave(tenant, item)  # what it gives up comes back to it, too
        elif not full and self._shares[tenant] < self.room.per_tenant:
            self._start(tenant, item)
        elif len(self._waiting) < self.room.concurrency:
            self._waiting.append((tenant, item))
        else:
            log.info("no room for %s, it comes again", self.name, extra={"tenant": tenant})
            self._leave(tenant, item)

    def _leave(self, tenant: str, item: Item) -> None:
        if self.give_back is not None:
            task = asyncio.create_task(self._safely(self.give_back, tenant, item))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def _turn(self) -> tuple[bool, int | None]:
        """Look once; return whether anything was started, and when more is due."""
        if len(self._running) >= self.room.concurrency:
            return False, None  # whatever ends wakes the loop
        before = len(self._running)
        found = await self._lease(self.room.concurrency)
        return len(self._running) > before, found.next_ms

    async def _lease(self, limit: int) -> Due[Item]:
        room = min(limit, self.room.concurrency - len(self._running))
        found = await self.lease(room, min(room, self.room.per_tenant))
        for tenant, item in found.items:
            self.offer(tenant, item)
        return found

    def _start(self, tenant: str, item: Item) -> None:
        task = asyncio.create_task(self._safely(self.run, tenant, item))
        self._running[task] = tenant
        self._shares[tenant] += 1
        task.add_done_callback(self._ended)

    async def _safely(self, do: Run[Item], tenant: str, item: Item) -> None:
        logs.add(tenant=tenant)
        try:
            await do(tenant, item)
        except Exception:
            log.exception("one of the %s went wrong; it comes again", self.name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Give the room to what waits for it."""
        tenant = self._running.pop(task)
        self._shares[tenant] -= 1
        if not self._shares[tenant]:
            del self._shares[tenant]
        self.woken.set()
        for at, (owner, item) in enumerate(self._waiting):
            if self._shares[owner] < self.room.per_tenant:
                del self._waiting[at]
                return self._start(owner, item)
        return None

    async def _wait_for_room(self) -> None:
        """Wait while the process is full, or what was taken waits for its tenant's share."""
        while self._waiting or len(self._running) >= self.room.concurrency:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # for the callbacks that make the room

    async def _finish(self) -> None:
        while left := {*self._running, *self._giving_back}:
            await asyncio.wait(left)
            await asyncio.sleep(0)

    def _log(self, error: Exception, errors: int) -> None:
        if isinstance(error, UnavailableError):
            log.warning("cannot look for %s: %s", self.name, error)
        elif errors == 1:
            log.error("cannot look for %s", self.name, exc_info=error)
        else:
            what = {"errors": errors, "error": type(error).__name__}
            log.error("cannot look for %s once more", self.name, extra=what)


async def _first_set(seconds: float, *events: asyncio.Event) -> None:
    """Return when one of the events is set, after `seconds` at the latest."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
