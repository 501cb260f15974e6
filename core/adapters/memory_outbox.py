"""Outbox in one process' memory, over the flows that are in memory too."""

from dataclasses import replace

from core.adapters.memory import MemoryFlows
from core.crews.ledger import FencedError
from core.webhooks import Due


class MemoryOutbox:
    """Keeps how far each flow is told; which flows there are, `flows.outbox` says."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows
        self._told: dict[tuple[str, str], Due] = {}

    async def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _ in self._flows.outbox})

    async def take(self, tenant: str, limit: int, hold_ms: int) -> list[Due]:
        now = self._flows.now_ms()
        look_at = sorted((at, key) for key, at in self._flows.outbox.items() if key[0] == tenant)
        taken = [key for at, key in look_at if at <= now][:limit]
        for key in taken:
            due = self._told.get(key, Due(key[1], 0))
            self._told[key] = replace(due, hold=due.hold + 1)
            self._flows.outbox[key] = now + hold_ms
        return [self._told[key] for key in taken]

    async def keep(self, tenant: str, due: Due, delay_ms: int) -> None:
        key = tenant, due.flow
        if key not in self._told or self._told[key].hold != due.hold:
            raise FencedError
        self._told[key] = due
        self._flows.outbox[key] = self._flows.now_ms() + delay_ms

    async def leave(self, tenant: str, due: Due) -> None:
        key = tenant, due.flow
        if key in self._told and self._told[key].hold != due.hold:
            raise FencedError
        self._told.pop(key, None)
        self._flows.outbox.pop(key, None)
