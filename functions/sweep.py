"""Woken every minute: wakes what is due, so that no lost wake-up leaves a flow behind.

What somebody is to be told of a flow by webhook is told here as well, if it was not before.
"""

import asyncio
from typing import Any

from core import bootstrap
from core.crews.clock import Clock
from core.crews.ledger import RunLedger
from core.crews.run import poll_due_flows
from core.crews.wakeups import WakeQueue
from functions import _clocks, _telling

PER_TENANT = 100
BACK_OFF_MS = 60_000  # a flow that was woken is left alone until the next sweep


async def sweep(ledger: RunLedger, wake_queue: WakeQueue) -> int:
    """Wake every flow that is due; return how many were."""
    woken = 0
    async for tenant, flow in poll_due_flows(ledger, PER_TENANT, BACK_OFF_MS):
        await wake_queue.enqueue(tenant, flow)
        woken += 1
    return woken


def handler(event: Any, context: Any) -> dict[str, int]:
    """AWS Lambda's entry, by schedule."""
    del event
    return asyncio.run(_swept(_clocks.LambdaClock(context)))


async def _swept(clock: Clock) -> dict[str, int]:
    woken = await sweep(bootstrap.ledger(), bootstrap.wake_queue())
    return {"woken": woken, "told": await _telling.tell_due(clock)}
