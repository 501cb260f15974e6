"""Waiting for money that other calls hold: in turn, and for a while only.

Those who wait for the same budget do so one after the other, and only the first asks the store, when
it hears that a call has given money back. So a hundred who wait cost what one costs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from core.costs.budget import Refusal, Verdict
from core.crews.budgets import BudgetBook
from core.errors import UnavailableError

WAIT_SECONDS = 30.0

Ask = Callable[[], Awaitable[Refusal | None]]  # reserves; sent again it changes nothing
_Turns = WeakValueDictionary[tuple[str, str], asyncio.Lock]


@dataclass(frozen=True, slots=True)
class MoneyQueue:
    """Those of one process that wait for money."""

    seconds: float = WAIT_SECONDS
    _turns: _Turns = field(default_factory=_Turns, repr=False, compare=False)

    async def wait(
        self, book: BudgetBook, tenant: str, refusal: Refusal, ask: Ask
    ) -> Refusal | None:
        """Wait until the call is reserved, or refused for another reason, or the time is over."""
        turn = self._turns.setdefault((tenant, refusal.budget), asyncio.Lock())
        try:
            async with asyncio.timeout(self.seconds), turn, book.settles(tenant) as settles:
                while (refused := await ask()) is not None and refused.verdict is Verdict.HELD:
                    await anext(settles)
                return refused
        except (TimeoutError, StopAsyncIteration, UnavailableError):
            return await ask()
