"""The worker of this process, and what a cold one says before it loads CrewAI, which takes seconds."""

import asyncio
import gc
import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from core import bootstrap
from core.flows import events
from core.time_of_day import now_ms

if TYPE_CHECKING:  # a cold worker says that it loads before it does
    from core.crews.worker import Worker

log = logging.getLogger(__name__)

AT_MOST_SECONDS = 1.0  # that the loading waits until the flows are told


async def worker(flows: Iterable[tuple[str, str]]) -> "Worker":
    """Return the worker. If it is yet to be loaded, these flows (tenant, flow) are told so first.

    It loads in a thread, so that the loop goes on: whoever asks meanwhile gets an answer, and connections
    that the store closes are known to be closed.
    """
    if bootstrap.is_made("worker"):
        return bootstrap.worker()
    if not bootstrap.is_made("runner"):
        await asyncio.gather(*(_announce(*flow) for flow in flows))
    async with _loading(asyncio.get_running_loop()):
        return await asyncio.to_thread(loaded)


def loaded() -> "Worker":
    """Return the worker, after loading it if need be.

    Of what is loaded nothing is garbage, so it is not looked for meanwhile, nor in all that later: that would
    take a seventh of the time.
    """
    if bootstrap.is_made("worker"):
        return bootstrap.worker()
    gc.disable()
    try:
        return bootstrap.worker()
    finally:
        gc.freeze()
        gc.enable()


async def _announce(tenant: str, flow: str) -> None:
    """Tell it in one flow. Where that fails, the worker loads all the same."""
    told = events.stamped(events.starting(), now_ms())
    try:
        async with asyncio.timeout(AT_MOST_SECONDS):
            await bootstrap.ledger().announce_start(tenant, flow, told)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is no reason not to begin
        log.info("it is not told that the worker loads: %s", error, extra={"flow": flow})


@lru_cache(maxsize=1)
def _loading(_: asyncio.AbstractEventLoop) -> asyncio.Lock:
    """Return what is held while the worker loads, so that it does so once."""
    return asyncio.Lock()
