"""A worker that may stay: runs what becomes due, as soon as it is asked to.

A wake-up names a flow, which is run without a look at what is due. That is looked at when a flow was
left, when the next one is due, and now and then, since a wake-up may get lost.
"""

from typing import TYPE_CHECKING

from core.crews.clock import StoppableClock
from core.crews.wakeups import WakeListener
from core.due_loop import DueLoop, Idle, Room
from functions._worker import listening

if TYPE_CHECKING:  # a cold worker says that it loads before it does
    from core.crews.worker import Worker

LISTENING, POLLING = (
    Idle(longest=20.0),
    Idle(longest=2.0),
)  # how it sleeps with wake-ups, or without


async def serve(
    worker: "Worker", listener: WakeListener, clock: StoppableClock, room: Room
) -> None:
    """Run what becomes due until the clock is stopped, and until the steps that run have ended."""

    async def run(tenant: str, flow: str) -> None:
        await worker.run_flow(tenant, flow, clock)

    loop = DueLoop[str]("flows", worker.lease_due, run, room, POLLING)
    async with listening.listening(listener, loop, loop.offer, LISTENING):
        await loop.run_forever(clock.stopping)
