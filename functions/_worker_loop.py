"""A worker that may stay: runs what becomes due, as soon as it is asked to.

A wake-up names a flow, which is run without a look at what is due. That is looked at when a flow was
left, when the next one is due, and now and then, since a wake-up may get lost.
"""

import asyncio
import logging

from core.crews.clock import StoppableClock
from core.crews.run import Worker
from core.crews.wakeups import WakeListener
from core.errors import UnavailableError
from core.polling import Batch, Idle, PollLoop, Room

log = logging.getLogger(__name__)

LISTEN_AGAIN_SECONDS = 5.0
HEARING, DEAF = Idle(longest=20.0), Idle(longest=2.0)  # looks where wake-ups are heard, or not


async def serve(worker: Worker, listener: WakeListener, clock: StoppableClock, room: Room) -> None:
    """Run what becomes due until the clock is stopped, and until the steps that run have ended."""

    async def take(limit: int, per_tenant: int) -> Batch[str]:
        due = await worker.ledger.take(limit, per_tenant, worker.timing.lease_ms)
        return Batch(due.flows, due.next_ms)

    async def run(tenant: str, flow: str) -> None:
        await worker.run_flow(tenant, flow, clock)

    loop = PollLoop[str]("flows", take, run, room, DEAF)
    listening = asyncio.create_task(_listen(listener, loop))
    try:
        await loop.run_forever(clock.stopping)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(listener: WakeListener, loop: PollLoop[str]) -> None:
    """Listen for ever; where that does not work, looking more often has to do."""
    while True:
        try:
            async with listener.listen() as wake_ups:
                loop.idle = HEARING
                loop.woken.set()  # what came before it listened may have been missed
                async for tenant, flow in wake_ups:
                    loop.offer(tenant, flow)
        except UnavailableError as error:
            log.info("wake-ups are not heard: %s", error)
        except Exception:
            log.exception("wake-ups are not heard")
        loop.idle = DEAF
        loop.woken.set()
        await asyncio.sleep(LISTEN_AGAIN_SECONDS)
