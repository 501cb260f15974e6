"""Sending webhooks on the hosts that run flows; nothing where no tenant may have any."""

import logging
from collections.abc import Callable

from core import bootstrap
from core.crews.clock import Clock
from core.errors import UnavailableError
from functions import _amp_webhooks

log = logging.getLogger(__name__)


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


async def run_dispatcher(stopped: Callable[[], bool]) -> None:
    """Send what becomes due until `stopped`, where a process may stay."""
    if bootstrap.settings().webhook_hosts:
        await bootstrap.webhook_dispatcher(_amp_webhooks.render).run_forever(stopped)
