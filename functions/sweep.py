"""Woken every minute: wakes what is due, so that no lost wake-up leaves a flow behind.

Webhooks that are due are sent here as well.
"""

import asyncio
from typing import Any

from core import bootstrap
from core.crews.ledger import RunLedger
from core.crews.run import Clock, due
from core.crews.wakeups import Wake
from functions import _time, _webhooks

PER_TENANT = 100
BACK_OFF_MS = 60_000  # a flow that was woken is left alone until the next sweep


async def sweep(ledger: RunLedger, wake: Wake) -> int:
    """Wake every flow that is due; return how many were."""
    woken = 0
    async for tenant, flow in due(ledger, PER_TENANT, BACK_OFF_MS):
        await wake.wake(tenant, flow)
        woken += 1
    return woken


def handler(event: Any, context: Any) -> dict[str, int]:
    """AWS Lambda's entry, by schedule."""
    del event
    return asyncio.run(_swept(_time.Remaining(context)))


async def _swept(clock: Clock) -> dict[str, int]:
    woken = await sweep(bootstrap.ledger(), bootstrap.wake())
    return {"woken": woken, "told": await _webhooks.deliver_due(clock)}
