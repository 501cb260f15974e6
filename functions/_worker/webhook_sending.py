"""Sending webhooks on the hosts that run flows; nothing where no tenant may have any."""

import asyncio
import logging
from typing import TYPE_CHECKING

from core import bootstrap
from core.crews.clock import Clock
from core.crews.wakeups import WakeListener
from core.due_loop import Idle
from core.errors import UnavailableError
from functions._worker import listening

if TYPE_CHECKING:
    from core.webhooks.dispatcher import WebhookDispatcher

log = logging.getLogger(__name__)

LISTENING = Idle(shortest=0.2, longest=30.0)  # how it sleeps where wake-ups come


def require_secret() -> None:
    """Raise SettingsError where tenants may have webhooks, and there is nothing to sign them with."""
    if bootstrap.settings().webhook_hosts:
        bootstrap.webhook_signer()


async def deliver_due(clock: Clock) -> int:
    """Send what is due while there is time; return how many flows were processed.

    What is not sent now stays due, so an outage is no failure of the invocation.
    """
    if not bootstrap.settings().webhook_hosts:
        return 0
    try:
        return await _dispatcher().deliver_once(stopped=lambda: clock.seconds_left() <= 0)
    except UnavailableError as error:
        log.warning("webhooks are sent later: %s", error)
        return 0


async def run_dispatcher(stopped: asyncio.Event, listener: WakeListener) -> None:
    """Send what becomes due until `stopped`, where a process may stay.

    What wakes workers (a launch, a person's answer) often makes webhooks due as well.
    """
    if not bootstrap.settings().webhook_hosts:
        return
    loop = _dispatcher().loop(stopped.is_set)

    def look(_tenant: str, _flow: str) -> None:
        loop.woken.set()

    async with listening.listening(listener, loop, look, LISTENING):
        await loop.run_forever(stopped)


def _dispatcher() -> "WebhookDispatcher":
    """Return what sends webhooks, with AMP's bodies. What it loads is of use where there are any."""
    from functions._amp import webhook_bodies  # noqa: PLC0415 -- see above

    return bootstrap.webhook_dispatcher(webhook_bodies.render)
