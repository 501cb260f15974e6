"""Woken every minute: wakes what is due, so that no lost wake-up leaves a flow behind.

Webhooks that are due are sent here as well. `handler` is AWS Lambda's entry, by schedule; `app` is
that of schedules on a host that is reached by HTTP: POST /v1/sweep, signed by QStash, or GET with the
secret of Vercel's crons. A flow that a worker is busy with is not due, so what is healthy costs nothing here.
"""

import asyncio
import logging

from core import bootstrap
from core.crews.clock import Clock
from core.crews.ledger import RunLedger
from core.crews.wakeups import WakeQueue
from functions._worker import schedules, webhook_sending

log = logging.getLogger(__name__)

LIMIT = 10_000  # flows of one sweep
BATCH, PER_TENANT = 100, 10  # flows that are woken together, and how many of them are one tenant's
BACK_OFF_MS = 60_000  # a flow that was woken is left alone until the next sweep


async def sweep(ledger: RunLedger, wake_queue: WakeQueue, clock: Clock) -> int:
    """Wake every flow that is due, while there is time; return how many were."""
    woken = 0
    while woken < LIMIT and clock.seconds_left() > 0:
        due = await ledger.lease(BATCH, PER_TENANT, BACK_OFF_MS)
        await asyncio.gather(*(wake_queue.enqueue(tenant, flow) for tenant, flow in due.items))
        woken += len(due.items)
        if due.next_ms != 0 or not due.items:
            break
    return woken


async def sweep_and_deliver(clock: Clock) -> dict[str, int]:
    """Sweep, and send the webhooks that are due, while there is time; return how many of each."""
    woken = await sweep(bootstrap.ledger(), bootstrap.wake_queue(), clock)
    done = {"woken": woken, "told": await webhook_sending.deliver_due(clock)}
    log.info("swept", extra=done)
    return done


handler = schedules.handler(sweep_and_deliver)
app = schedules.app(
    "sweep", lambda qstash: qstash.sweep_url, sweep_and_deliver, webhook_sending.require_secret
)
