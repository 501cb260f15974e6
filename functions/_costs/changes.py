"""Changes of what may be spent or of what calls cost, after which flows that wait for money may go on."""

from collections.abc import Awaitable, Iterable

from core import bootstrap
from core.crews.wakeups import wake_workers
from core.identity import Principal


async def changed(who: Principal, change: Awaitable[Iterable[str]]) -> None:
    """Make a change, which returns the flows that waited for money, and have workers look at these.

    Raises what the change raises.
    """
    waiting = await change
    await wake_workers(bootstrap.wake_queue(), who.tenant, waiting)
