"""Delivering: tell by webhook what is due, in order, until it is told or given up.

A look at a flow reads what its log has gained and tells one occasion after the other; each is
written down when the receiver has accepted it. One that is not accepted is tried eight times over
a day, and holds up those behind it; then it is given up, and so is its address: what else is meant
for that is tried once each, until one is accepted. After the final event the flow leaves.

A deliverer may be killed at any time. What it had told but not written down is told again, with
the same id.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.crews.ledger import FencedError
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.flows import Entry, Flow, FlowLog, Head, Status
from core.occasions import occasions
from core.webhook_targets import Targets
from core.webhooks import Due, Occasion, Outbox, Place, Poster, Signer, UndeliveredError

log = logging.getLogger(__name__)

AT_ONCE = 32  # flows in the hands of one process
PAGE = 1000  # events read at once
LIMIT = 100  # flows of one tenant in one round, so that none holds up the others


@dataclass(frozen=True, slots=True)
class Pace:
    """When what happens, in seconds.

    `again` after each failure but the last. A flow in one deliverer's hands is nobody else's for
    `hold`, which must be longer than a POST may take. A flow that runs is looked at soon after
    something, later when nothing happens; so is the outbox (`idle`).
    """

    again: tuple[float, ...] = (5, 30, 120, 600, 3600, 5 * 3600, 17 * 3600)
    hold: float = 60.0
    look: tuple[float, float] = (1.0, 15.0)
    look_waiting: float = 60.0
    idle: tuple[float, float] = (0.5, 5.0)

    @property
    def tries(self) -> int:
        """How often an occasion is tried."""
        return len(self.again) + 1

    def rest_ms(self, waited_ms: int, status: Status) -> int:
        """Return how long a flow of which all is told is left alone."""
        if status is Status.WAITING:
            return _ms(self.look_waiting)
        soonest, latest = self.look
        return min(max(waited_ms, _ms(soonest)), _ms(latest))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@dataclass(frozen=True, slots=True)
class Deliverer:
    """What delivering takes; `now` is the time in seconds since 1970, for signatures."""

    outbox: Outbox
    log: FlowLog
    poster: Poster
    targets: Targets
    signer: Signer
    pace: Pace = Pace()
    now: Callable[[], float] = time.time


def _never() -> bool:
    return False


async def deliver_due(
    parts: Deliverer, limit: int = LIMIT, stopped: Callable[[], bool] = _never
) -> int:
    """Tell what is due now, of at most `limit` flows a tenant; return how many were looked at.

    When `stopped` says so, the POSTs under way are finished and the rest stays due. Raises
    UnavailableError.
    """
    under_way: set[asyncio.Task[None]] = set()
    try:
        return await _begin(parts, under_way, limit, stopped)
    finally:
        await asyncio.gather(*under_way)


async def keep_delivering(parts: Deliverer, stopped: Callable[[], bool]) -> None:
    """Tell what becomes due, on a host where a process may stay, until `stopped`."""
    under_way: set[asyncio.Task[None]] = set()
    soon, latest = parts.pace.idle
    idle = soon
    while not stopped():
        try:
            looked = await _begin(parts, under_way, LIMIT, stopped)
        except UnavailableError as error:
            log.warning("cannot look at the outbox: %s", error)
            looked = 0
        idle = soon if looked else min(idle * 1.5, latest)
        await asyncio.sleep(idle)
    await asyncio.gather(*under_way)


async def _begin(
    parts: Deliverer, under_way: set[asyncio.Task[None]], limit: int, stopped: Callable[[], bool]
) -> int:
    """Begin looks at all that is due, as there is room; return how many."""
    looked = 0
    for tenant in await parts.outbox.tenants():
        left = limit
        while left > 0 and not stopped():
            room = min(left, await _room(under_way))
            taken = await parts.outbox.take(tenant, room, _ms(parts.pace.hold))
            for due in taken:
                task = asyncio.create_task(_look(parts, tenant, due, stopped))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            looked, left = looked + len(taken), left - len(taken) if taken else 0
    return looked


async def _room(under_way: set[asyncio.Task[None]]) -> int:
    if len(under_way) >= AT_ONCE:
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # for the callbacks that make the room
    return max(1, AT_ONCE - len(under_way))


async def _look(parts: Deliverer, tenant: str, due: Due, stopped: Callable[[], bool]) -> None:
    """Look at one flow; whatever goes wrong, it comes again when the hold is over."""
    try:
        await _tell(parts, tenant, due, stopped)
    except NotFoundError:
        log.info("flow %s of %s is gone, and what was to be told of it", due.flow, tenant)
        await _leave(parts, tenant, due)
    except FencedError:
        log.info("flow %s of %s is told by somebody else", due.flow, tenant)
    except UnavailableError as error:
        log.warning("flow %s of %s is told later: %s", due.flow, tenant, error)
    except Exception:
        log.exception("flow %s of %s was left untold; it comes again", due.flow, tenant)


async def _leave(parts: Deliverer, tenant: str, due: Due) -> None:
    try:
        await parts.outbox.leave(tenant, due)
    except (FencedError, UnavailableError):
        log.info("flow %s of %s leaves the outbox another time", due.flow, tenant)


async def _tell(parts: Deliverer, tenant: str, due: Due, stopped: Callable[[], bool]) -> None:
    head = await parts.log.head(tenant, due.flow)
    if due.place >= Place.after(head.sequence):
        return await _rest(parts, tenant, replace(due, wait_ms=due.wait_ms * 2), head)
    flow = await parts.log.snapshot(tenant, due.flow)
    for occasion in occasions(flow, await _since(parts.log, tenant, flow, due.place)):
        if occasion.place <= due.place:
            continue
        if stopped():
            return await parts.outbox.keep(tenant, due, 0)
        due = await _told(parts, tenant, flow, occasion, due)
        if due.place < occasion.place:
            again = parts.pace.again[due.failures - 1]
            return await parts.outbox.keep(tenant, due, _ms(again))
        await parts.outbox.keep(tenant, due, _ms(parts.pace.hold))
    due = replace(due, place=Place.after(flow.head.sequence), wait_ms=0)
    return await _rest(parts, tenant, due, flow.head)


async def _since(flows: FlowLog, tenant: str, flow: Flow, place: Place) -> list[Entry]:
    """Return the events from this place, its own event included, to those of the state."""
    before = max(0, place.number - 1)
    found: list[Entry] = []
    while page := await flows.entries(tenant, flow.id, found[-1].number if found else before, PAGE):
        found += page
        if found[-1].number >= flow.head.sequence:
            break
    if found and found[0].number > before + 1:
        log.warning("what of flow %s was not told in time is no longer in its log", flow.id)
    return [entry for entry in found if entry.number <= flow.head.sequence]


async def _rest(parts: Deliverer, tenant: str, due: Due, head: Head) -> None:
    """Have a flow of which all is told looked at later; or never again, if it has ended."""
    if head.status.terminal:
        return await parts.outbox.leave(tenant, due)
    wait_ms = parts.pace.rest_ms(due.wait_ms, head.status)
    return await parts.outbox.keep(tenant, replace(due, wait_ms=wait_ms), wait_ms)


async def _told(parts: Deliverer, tenant: str, flow: Flow, occasion: Occasion, due: Due) -> Due:
    """Return how things stand after one try at an occasion: told, to be tried again, given up."""
    kind = occasion.kind
    name = f"{flow.id}.{flow.head.cursor(occasion.place.number)}.{kind}"
    body = json.dumps(occasion.body, ensure_ascii=False).encode("utf-8", "replace")
    try:
        target = parts.targets.target(tenant, occasion.url)
        headers = parts.signer.headers(tenant, name, body, int(parts.now()))
        await parts.poster.post(target, headers, body)
    except (UndeliveredError, InvalidInputError) as error:
        failures = due.failures + 1
        if failures < parts.pace.tries and kind not in due.dead:
            log.info("webhook %s of %s is tried again: %s", name, tenant, error)
            return replace(due, failures=failures)
        log.warning("webhook %s of %s is given up: %s", name, tenant, error)
        return replace(due, place=occasion.place, failures=0, dead=due.dead | {kind})
    return replace(due, place=occasion.place, failures=0, dead=due.dead - {kind})
