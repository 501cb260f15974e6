"""Late calls: model calls whose answer came when their step was over, lost or given back.

A thread that waits for a model cannot be ended, so its answer arrives, with what it cost, when nobody
wants it any more. The call was counted at its bound by then; its true cost replaces that.
"""

import asyncio
from contextlib import suppress

from core.costs.usage import Usage
from core.crews.budgets import BudgetBook, Call
from core.crews.ledger import ExpiredError, FencedError
from core.errors import NotFoundError, UnavailableError
from core.retries import RetryPolicy


class LateCalls:
    """Settles calls in the event loop it is made in; for use from any thread. Tells no event."""

    def __init__(self, budgets: BudgetBook) -> None:
        self._budgets, self._loop = budgets, asyncio.get_running_loop()

    def settle(self, call: Call, usage: Usage) -> None:
        """Have a call settled, as far as the store answers; returns at once."""
        if not self._loop.is_closed():  # or the process ends, and the bound stays counted
            asyncio.run_coroutine_threadsafe(self._settle(call, usage), self._loop)

    async def _settle(self, call: Call, usage: Usage) -> None:
        with suppress(FencedError, ExpiredError, NotFoundError, UnavailableError):
            await RetryPolicy().run(lambda: self._budgets.settle(call, usage, []))
