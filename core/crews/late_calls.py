"""Late calls: model calls whose answer came when their step was over, lost or given back.

A thread that waits for a model cannot be ended, so its answer arrives, with what it cost, when nobody
wants it any more. The call was counted at its bound by then; its true cost replaces that. The same
holds for an answer that came while the store was away, and which its step could not write down.
"""

import asyncio
import logging
import math
from contextvars import Context
from dataclasses import dataclass, field

from core.crews.call_ledger import Call, CallLedger
from core.crews.ledger import ExpiredError, FencedError
from core.crews.unsent import SettledCall
from core.errors import NotFoundError
from core.retries import RetryPolicy, deadline

log = logging.getLogger(__name__)

PERSISTENT = RetryPolicy(longest=5.0)  # without a deadline: a store is away for as long as it is
LOOK_SECONDS = 0.05


@dataclass(slots=True)
class LateCalls:
    """Settles calls for as long as the process lives; one for a process.

    Of the answer it tells what it cost, and that only where the call was not lost yet: a message of
    it may be there by half, or its step have another one open.
    """

    _unsettled: set[Call] = field(default_factory=set[Call])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def settle(
        self, loop: asyncio.AbstractEventLoop, ledger: CallLedger, item: SettledCall
    ) -> None:
        """Have a call settled in the loop, when the store answers; returns at once. Thread-safe."""
        self._unsettled.add(item.call)
        try:  # in a context of its own: no deadline of the caller's holds
            loop.call_soon_threadsafe(self._begin, ledger, item, context=Context())
        except RuntimeError:  # the loop is closed: the process ends, and the bound stays counted
            self._unsettled.discard(item.call)

    async def settled(self, tenant: str, flow: str, seconds: float) -> None:
        """Return when no call of a flow is left to be settled, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while any((call.tenant, call.flow) == (tenant, flow) for call in self._unsettled):  # noqa: ASYNC110 -- no event tells it of one flow
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            log.warning("what a model call cost is written down later: the store is away")

    def _begin(self, ledger: CallLedger, item: SettledCall) -> None:
        task = asyncio.create_task(self._settle(ledger, item))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, ledger: CallLedger, item: SettledCall) -> None:
        call, cost = item.call, [event for event in item.events if event["type"] == "CUSTOM"]
        used = item.usage, cost, item.facts
        try:
            with deadline(math.inf):
                await PERSISTENT.run(lambda: ledger.settle(call, *used))
        except (FencedError, ExpiredError, NotFoundError):
            pass  # it is counted, if there was anything to count
        except Exception:
            whose = {"tenant": call.tenant, "flow": call.flow}
            log.exception("a model call counts at its bound: its cost is refused", extra=whose)
        finally:
            self._unsettled.discard(call)
