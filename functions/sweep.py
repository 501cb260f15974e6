"""Woken every minute: wakes what is due, so that no lost wake-up leaves a flow behind.

Webhooks that are due are sent here as well.
"""

from typing import Any

from core import bootstrap
from core.crews.clock import Clock
from core.crews.ledger import RunLedger
from core.crews.run import poll_due_flows
from core.crews.wakeups import WakeQueue
from functions import _clocks, _loop, _webhooks

LIMIT, PER_TENANT = 10_000, 100  # flows of one sweep; of a tenant before it is the next one's turn
BACK_OFF_MS = 60_000  # a flow that was woken is left alone until the next sweep


async def sweep(ledger: RunLedger, wake_queue: WakeQueue) -> int:
    """Wake every flow that is due; return how many were."""
    woken = 0
    async for tenant, flow in poll_due_flows(ledger, LIMIT, BACK_OFF_MS, PER_TENANT):
        await wake_queue.enqueue(tenant, flow)
        woken += 1
    return woken


def handler(event: Any, context: Any) -> dict[str, int]:
    """AWS Lambda's entry, by schedule."""
    del event
    return _loop.run(_swept(_clocks.LambdaClock(context)))


async def _swept(clock: Clock) -> dict[str, int]:
    woken = await sweep(bootstrap.ledger(), bootstrap.wake_queue())
    return {"woken": woken, "told": await _webhooks.deliver_due(clock)}
