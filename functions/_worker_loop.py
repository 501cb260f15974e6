"""Serving: a worker that may stay runs what becomes due, as soon as it is asked to.

The due set is the queue. It is looked at when a wake-up is heard, after each step of work, and now
and then, since a lease that ends and a wake-up that gets lost ring no bell.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from core.crews.clock import NoLimit
from core.crews.run import Worker, poll_due_flows
from core.crews.wakeups import WakeListener
from core.errors import UnavailableError

log = logging.getLogger(__name__)

AT_ONCE = 4  # flows under way in one process; they wait for models most of the time
IDLE_SECONDS = (0.1, 2.0)  # between looks at the due set: soon after work, later when idle
DEAF_SECONDS = 5.0  # between two attempts at listening


async def serve(worker: Worker, listener: WakeListener, stopped: Callable[[], bool]) -> None:
    """Run what becomes due until `stopped`; what is under way then is left to others."""
    under_way: set[asyncio.Task[None]] = set()
    idle = IDLE_SECONDS[0]
    async with _hearing(listener) as rung:
        while not stopped():
            rung.clear()
            began = await _begin(worker, under_way, rung)
            idle = IDLE_SECONDS[0] if began else min(idle * 1.5, IDLE_SECONDS[1])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(idle):
                    await rung.wait()


async def _begin(worker: Worker, under_way: set[asyncio.Task[None]], rung: asyncio.Event) -> bool:
    """Begin what is due as far as there is room; tell whether there was anything."""

    def done(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        rung.set()  # there is room, and perhaps a next step

    room = AT_ONCE - len(under_way)
    if room <= 0:
        return False
    began = False
    try:
        async for tenant, flow in poll_due_flows(worker.ledger, room, worker.timing.lease_ms):
            task = asyncio.create_task(_run(worker, tenant, flow))
            under_way.add(task)
            task.add_done_callback(done)
            began = True
    except UnavailableError as error:
        log.warning("cannot look for work: %s", error)
    except Exception:
        log.exception("cannot look for work")
    return began


async def _run(worker: Worker, tenant: str, flow: str) -> None:
    """Advance one flow; whatever goes wrong, it stays due and this worker goes on."""
    try:
        await worker.run_flow(tenant, flow, NoLimit())
    except Exception:
        log.exception("flow %s of %s was left; it stays due", flow, tenant)


@asynccontextmanager
async def _hearing(listener: WakeListener) -> AsyncGenerator[asyncio.Event]:
    """Yield what is set at each wake-up that is heard."""
    rung = asyncio.Event()
    listening = asyncio.create_task(_listen(listener, rung))
    try:
        yield rung
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(listener: WakeListener, rung: asyncio.Event) -> None:
    """Listen for ever; where that does not work, looking now and then has to do."""
    while True:
        try:
            async with listener.listen() as rings:
                rung.set()  # what came before it listened may have been missed
                async for _ in rings:
                    rung.set()
        except UnavailableError as error:
            log.info("wake-ups are not heard: %s", error)
        await asyncio.sleep(DEAF_SECONDS)
