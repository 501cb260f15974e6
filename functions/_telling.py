"""Telling by webhook, on the hosts that run flows; nothing where no tenant may have any."""

import logging
from collections.abc import Callable

from core import bootstrap
from core.crews.clock import Clock
from core.deliver import deliver_due, keep_delivering
from core.errors import UnavailableError

log = logging.getLogger(__name__)


async def tell_due(clock: Clock) -> int:
    """Tell what is due while there is time; return how many flows were looked at.

    What is not told now stays due, so an outage is no failure of the invocation.
    """
    if not bootstrap.settings().webhook_hosts:
        return 0
    try:
        return await deliver_due(bootstrap.deliverer(), stopped=lambda: clock.seconds_left() <= 0)
    except UnavailableError as error:
        log.warning("webhooks are told later: %s", error)
        return 0


async def keep_telling(stopped: Callable[[], bool]) -> None:
    """Tell what becomes due until `stopped`, where a process may stay."""
    if bootstrap.settings().webhook_hosts:
        await keep_delivering(bootstrap.deliverer(), stopped)
