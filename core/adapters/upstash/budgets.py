"""BudgetBook over Redis: reserving and settling a call are one script each."""

from pathlib import Path

from core.adapters.upstash import keys, records, scripts
from core.adapters.upstash.commands import Commands
from core.costs.budgets import Call, Spending
from core.costs.usage import Usage
from core.flows.events import Event


class UpstashBudgetBook:
    """The money of model calls, kept with the flows that spend it."""

    def __init__(
        self, redis: Commands, ttl_seconds: int, lua_folder: Path = scripts.FOLDER
    ) -> None:
        self._redis = redis
        self._scripts = scripts.FlowScripts(redis, ttl_seconds, lua_folder)

    async def reserve(self, call: Call) -> None:
        """Hold a call's bound."""
        arguments = {"id": call.id, "call": records.call(call)}
        await self._scripts.on_flow("reserve", call.tenant, call.flow, [], arguments)

    async def settle(self, call: Call, usage: Usage, told: list[Event]) -> None:
        """Count what a call consumed."""
        arguments = {
            "id": call.id,
            "step": call.step,
            "epoch": call.epoch,
            "used": usage.public(),
        }
        await self._scripts.counting("settle", call.tenant, call.flow, [], arguments, told)

    async def spending(self, tenant: str, day: str) -> list[Spending]:
        """Return a day's roll-up: one HGETALL."""
        return records.spending(await self._redis.execute(["HGETALL", keys.spend(tenant, day)]))
