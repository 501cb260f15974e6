"""BudgetBook over Redis: reserving and settling a call are one script each."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from core import cpu, time_of_day
from core.adapters.upstash import budget_records, cost_records, records, scripts
from core.adapters.upstash.calls import ScriptRunner, encoded
from core.adapters.upstash.commands import Commands, PubSub
from core.adapters.upstash.flow_list import FlowList
from core.adapters.upstash.flow_scripts import FlowScripts
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.script_keys import FlowKeys, OutboxKeys
from core.costs.budget import Refusal
from core.costs.facts import NO_FACTS, Facts
from core.costs.flow_costs import FlowCost
from core.costs.rollup import NOBODY
from core.costs.tally import PIECE_CELLS, CellSums
from core.costs.tenant_prices import TenantPrices
from core.costs.usage import Usage
from core.crews.budgets import Call
from core.errors import UnavailableError
from core.flows.events import Event

T = TypeVar("T")
_CELL_BYTES = 256  # about: its name, and its sums as JSON
Field = tuple[str, str, str]  # of a roll-up: its day, name and value


class UpstashBudgetBook:
    """The money of model calls, kept with the flows that spend it."""

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
        reserve = scripts.reserve(
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
        return budget_records.refusal(*refusal, needed=call.needed_nanodollars)

    async def settle(
        self, call: Call, usage: Usage, new_events: list[Event], facts: Facts = NO_FACTS
    ) -> None:
        """Count what a call consumed."""
        settle = scripts.settle(
            FlowKeys.of(self._keys, call.tenant, call.flow),
            self._scripts.money(call.tenant),
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

    async def prices(self, tenant: str) -> TenantPrices:
        """Return a tenant's prices."""
        stored = await self._redis.execute(["HGETALL", self._keys.prices(tenant)])
        return budget_records.prices(as_dict(stored))

    async def spending_pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[CellSums]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        """Yield `work` of the cells of these days."""

        def worked(fields: Sequence[Field]) -> T:
            return work(cost_records.cell_sums(fields, hours=hours))

        async for each in self._pieces(tenant, days, worked, hours):
            yield each

    async def _pieces(
        self, tenant: str, days: Sequence[str], work: Callable[[Sequence[Field]], T], hours: bool
    ) -> AsyncIterator[T]:
        """Yield `work` of the fields of these days, of PIECE_CELLS at most.

        One day is read first, and then as many in a request as are likely to have so many fields: a
        reply is in memory as a whole.
        """
        at = count = 0
        size = 1
        while at < len(days):
            some = days[at : at + size]
            keys = [self._keys.spend(tenant, day, hours=hours) for day in some]
            replies = await self._redis.pipeline([["HGETALL", key] for key in keys])
            fields = [
                (day, name, value)
                for day, reply in zip(some, replies, strict=True)
                for name, value in as_dict(reply).items()
            ]
            for begin in range(0, len(fields), PIECE_CELLS):
                piece = fields[begin : begin + PIECE_CELLS]
                yield await cpu.run(tenant, work, piece, len(piece) * _CELL_BYTES)
            count, at = max(count, len(fields) // len(some)), at + len(some)
            size = max(1, min(size * 4, PIECE_CELLS // max(1, count)))

    async def flow_costs(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        """Return flows; their order is the time of their creation (us)."""
        until = until_ms * 1000 if before is None else min(before, until_ms * 1000)
        fields = "order", "crew", "launched_by", "created", "usage"
        lines = await FlowList(self._redis, self._keys).newest(
            tenant, fields, limit, until, since_ms * 1000
        )
        return [
            FlowCost(
                flow, crew, who or NOBODY, int(created), int(order), records.usage(used or "{}")
            )
            for flow, (order, crew, who, created, used) in lines
        ]
