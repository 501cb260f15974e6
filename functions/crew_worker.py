"""Runs the steps of flows that are due: where CrewAI is loaded and models are called.

A worker holds nothing that its death would lose, so it may be killed at any time; what it was in
the middle of is begun again by another one when its lease has run out.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from core import bootstrap
from core.crews.run import NoLimit, Worker, due
from core.errors import UnavailableError

log = logging.getLogger(__name__)

AT_ONCE = 4  # flows under way in one process; they wait for models most of the time
IDLE_SECONDS = (0.1, 2.0)  # between looks at the due set: soon after work, later when idle


async def serve(worker: Worker, stopped: Callable[[], bool]) -> None:
    """Run what becomes due, on a host where a process may stay: the due set is the queue."""
    under_way: set[asyncio.Task[None]] = set()
    idle = IDLE_SECONDS[0]
    while not stopped():
        began = await _begin(worker, under_way)
        idle = IDLE_SECONDS[0] if began or under_way else min(idle * 1.5, IDLE_SECONDS[1])
        await asyncio.sleep(idle)


async def _begin(worker: Worker, under_way: set[asyncio.Task[None]]) -> bool:
    """Begin what is due as far as there is room; tell whether there was anything."""
    room = AT_ONCE - len(under_way)
    if room <= 0:
        return False
    began = False
    try:
        async for tenant, flow in due(worker.ledger, room, worker.timing.lease_ms):
            task = asyncio.create_task(_advance(worker, tenant, flow))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            began = True
    except UnavailableError as error:
        log.warning("cannot look for work: %s", error)
    return began


async def _advance(worker: Worker, tenant: str, flow: str) -> None:
    """Advance one flow; whatever goes wrong, it stays due and this worker goes on."""
    try:
        await worker.advance(tenant, flow, NoLimit())
    except Exception:
        log.exception("flow %s of %s was left; it stays due", flow, tenant)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    worker = bootstrap.worker()
    log.info("worker ready")
    await serve(worker, stopping.is_set)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(main())
