"""Sending webhooks on the hosts that run flows; nothing where no tenant may have any."""

import asyncio
import logging
from contextlib import suppress

from core import bootstrap
from core.crews.clock import Clock
from core.crews.wakeups import WakeListener
from core.errors import UnavailableError
from functions import _amp_webhooks

log = logging.getLogger(__name__)

DEAF_SECONDS = 5.0  # between two attempts at listening


async def deliver_due(clock: Clock) -> int:
    """Send what is due while there is time; return how many flows were processed.

    What is not sent now stays due, so an outage is no failure of the invocation.
    """
    if not bootstrap.settings().webhook_hosts:
        return 0
    dispatcher = bootstrap.webhook_dispatcher(_amp_webhooks.render)
    try:
        return await dispatcher.deliver_once(stopped=lambda: clock.seconds_left() <= 0)
    except UnavailableError as error:
        log.warning("webhooks are sent later: %s", error)
        return 0


async def run_dispatcher(stopped: asyncio.Event, listener: WakeListener) -> None:
    """Send what becomes due until `stopped`, where a process may stay.

    What wakes workers (a launch, a person's answer) often makes webhooks due as well.
    """
    if not bootstrap.settings().webhook_hosts:
        return
    woken = asyncio.Event()
    listening = asyncio.create_task(_listen(listener, woken))
    try:
        await bootstrap.webhook_dispatcher(_amp_webhooks.render).run_forever(stopped, woken)
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _listen(listener: WakeListener, woken: asyncio.Event) -> None:
    """Listen for ever; where that does not work, looking now and then has to do."""
    while True:
        try:
            async with listener.listen() as wakeups:
                woken.set()
                async for _ in wakeups:
                    woken.set()
        except Exception as error:  # noqa: BLE001 -- webhooks are sent all the same
            log.info("wake-ups are not heard: %r", error)
        await asyncio.sleep(DEAF_SECONDS)
