"""Waiting for money that other calls hold: in turn, and for a while only.

Those who wait for the same budget do so one after the other, and only the first asks the store, when
it hears that a call has given money back. So a hundred who wait cost what one costs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from core.costs.budget import Refusal, Verdict
from core.crews.call_ledger import CallLedger
from core.crews.crew_runner import (
    BudgetExhaustedError,
    PricesChangedError,
    ShortOfMoneyError,
    StepDeferredError,
    StepFailedError,
)
from core.errors import UnavailableError

WAIT_SECONDS = 30.0
HELD_SECONDS = 10.0  # until a step is tried again that has waited in vain

Ask = Callable[[], Awaitable[Refusal | None]]  # reserves; sent again it changes nothing
_Turns = WeakValueDictionary[tuple[str, str], asyncio.Lock]


@dataclass(frozen=True, slots=True)
class MoneyQueue:
    """Those of one process that wait for money."""

    seconds: float = WAIT_SECONDS
    _turns: _Turns = field(default_factory=_Turns, repr=False, compare=False)

    async def reserve(self, ledger: CallLedger, tenant: str, ask: Ask) -> Exception | None:
        """Reserve a call, waiting for money that others hold; return what it means if that fails."""
        refusal = await ask()
        if refusal is not None and refusal.verdict is Verdict.HELD:
            refusal = await self.wait(ledger, tenant, refusal, ask)
        return None if refusal is None else refused(refusal)

    async def wait(
        self, ledger: CallLedger, tenant: str, refusal: Refusal, ask: Ask
    ) -> Refusal | None:
        """Wait until the call is reserved, or refused for another reason, or the time is over."""
        turn = self._turns.setdefault((tenant, refusal.budget), asyncio.Lock())
        try:
            async with asyncio.timeout(self.seconds), turn, ledger.settles(tenant) as settles:
                while (refused := await ask()) is not None and refused.verdict is Verdict.HELD:
                    await anext(settles)
                return refused
        except (TimeoutError, StopAsyncIteration, UnavailableError):
            return await ask()


def refused(refusal: Refusal) -> Exception:
    """Return what a refusal means for the step."""
    match refusal.verdict:
        case Verdict.HELD:
            reason = f"other calls hold the money of the budget {refusal.budget}"
            return StepDeferredError(reason, HELD_SECONDS, passes=True)
        case Verdict.EXHAUSTED:
            return BudgetExhaustedError(refusal)
        case Verdict.UNPRICED:
            reason = (
                f"nobody knows what the model costs, and the budget {refusal.budget} is a limit"
            )
            return StepFailedError(f"{reason}: give the model a price (PUT /v1/prices)")
        case Verdict.REPRICED:
            return PricesChangedError(refusal.prices)
        case Verdict.SHORT:
            return ShortOfMoneyError(refusal.headroom_nanodollars, refusal.budget)
