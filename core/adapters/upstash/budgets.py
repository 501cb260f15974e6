"""BudgetBook over Redis: reserving and settling a call are one script each."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.adapters.upstash import records, scripts
from core.adapters.upstash.calls import FOLDER, ScriptRunner, encoded
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.flow_scripts import FlowScripts
from core.adapters.upstash.keys import Keyspace
from core.costs.rollup import Cell, in_order
from core.costs.usage import Usage
from core.crews import clock
from core.crews.budgets import Call
from core.flows.events import Event


class UpstashBudgetBook:
    """The money of model calls, kept with the flows that spend it."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        lua_folder: Path = FOLDER,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._redis = redis
        self._keys = keys or Keyspace()
        self._scripts = FlowScripts(ScriptRunner(redis, lua_folder), self._keys, now_ms)

    async def reserve(self, call: Call) -> None:
        """Hold a call's bound."""
        reserve = scripts.reserve(
            self._keys.flow_keys(call.tenant, call.flow),
            step=call.step,
            epoch=call.epoch,
            call_id=call.id,
            call=records.call(call),
        )
        await self._scripts.run(reserve, call.flow)

    async def settle(self, call: Call, usage: Usage, told: list[Event]) -> None:
        """Count what a call consumed."""
        settle = scripts.settle(
            self._keys.flow_keys(call.tenant, call.flow),
            self._scripts.days(call.tenant),
            step=call.step,
            epoch=call.epoch,
            call_id=call.id,
            used=usage.public(),
            events=encoded(told),
        )
        await self._scripts.run(settle, call.flow)

    async def spending(
        self, tenant: str, days: Sequence[str], *, hours: bool = False
    ) -> list[Cell]:
        """Return the cells of these days: one HGETALL each, in one request."""
        if not days:
            return []
        keys = [self._keys.spend(tenant, day, hours=hours) for day in days]
        replies = await self._redis.pipeline([["HGETALL", key] for key in keys])
        of_days = zip(days, replies, strict=True)
        return in_order([c for day, reply in of_days for c in records.cells(day, reply, hours)])
