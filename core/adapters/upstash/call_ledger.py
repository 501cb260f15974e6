"""CallLedger over Redis: reserving and settling a call are one script each."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from core import time_of_day
from core.adapters.upstash import budget_records, cost_records
from core.adapters.upstash.agreed_prices import read_prices
from core.adapters.upstash.calls import ScriptRunner, encoded
from core.adapters.upstash.commands import Commands, PubSub
from core.adapters.upstash.flow_scripts import FlowScripts
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import FlowKeys, OutboxKeys
from core.adapters.upstash.scripts import money
from core.costs.budget import Refusal, Verdict
from core.costs.facts import NO_FACTS, Facts
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.wakeups import MOST_WOKEN
from core.errors import UnavailableError
from core.flows.events import Event


class UpstashCallLedger:
    """The model calls of flows, kept with the flows that make them."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
        now_ms: Callable[[], int] = time_of_day.now_ms,
        pubsub: PubSub | None = None,
    ) -> None:
        self._redis, self._pubsub = redis, pubsub
        self._keys = keys or Keyspace()
        self._scripts = FlowScripts(runner or ScriptRunner(redis), self._keys, now_ms)

    async def reserve(self, call: Call) -> Refusal | None:
        """Hold a call's bound."""
        reserve = money.reserve(
            FlowKeys.of(self._keys, call.tenant, call.flow),
            self._scripts.held(call.tenant),
            OutboxKeys.of(self._keys, call.tenant),
            self._keys.budgets(call.tenant),
            step=call.step,
            epoch=call.epoch,
            call_id=call.id,
            call=cost_records.call(call),
            least=call.needed_nanodollars,
            prices=call.prices_version,
        )
        verdict, *refusal = await self._scripts.run(reserve, call.flow)
        if verdict != "refused":
            return None
        refused = budget_records.refusal(*refusal, needed=call.needed_nanodollars)
        if refused.verdict is not Verdict.REPRICED:
            return refused
        return replace(refused, prices=await read_prices(self._redis, self._keys, call.tenant))

    async def settle(
        self, call: Call, usage: Usage, new_events: list[Event], facts: Facts = NO_FACTS
    ) -> None:
        """Count what a call consumed."""
        settle = money.settle(
            FlowKeys.of(self._keys, call.tenant, call.flow),
            self._scripts.money(call.tenant),
            self._keys.budget_waits(call.tenant),
            most_woken=MOST_WOKEN,
            step=call.step,
            epoch=call.epoch,
            call_id=call.id,
            number=call.number,
            used=usage.public(),
            facts=dict(facts),
            events=encoded(new_events),
        )
        await self._scripts.run(settle, call.flow)

    def settles(self, tenant: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe to calls that give back money that somebody waits for."""
        if self._pubsub is None:
            raise UnavailableError("nobody tells of settled calls here")
        return self._pubsub.subscribe(self._keys.settles(tenant))
