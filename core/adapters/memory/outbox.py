"""Outbox in one process' memory, over the flows that are in memory too."""

from dataclasses import replace

from core.adapters.memory.flows import MemoryFlows
from core.crews.ledger import FencedError
from core.webhooks.outbox import Delivery


class MemoryOutbox:
    """Keeps how far each flow has come; which flows there are, `flows.outbox` says."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    async def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _ in self._flows.outbox})

    async def lease(self, tenant: str, limit: int, lease_ms: int) -> list[Delivery]:
        now = self._flows.now_ms()
        entries = sorted((at, key) for key, at in self._flows.outbox.items() if key[0] == tenant)
        due = [key for at, key in entries if at <= now][:limit]
        for key in due:
            delivery = self._deliveries.get(key, Delivery(key[1], 0))
            self._deliveries[key] = replace(delivery, epoch=delivery.epoch + 1)
            self._flows.outbox[key] = now + lease_ms
        return [self._deliveries[key] for key in due]

    async def save(self, tenant: str, delivery: Delivery, delay_ms: int) -> None:
        key = tenant, delivery.flow
        if key not in self._deliveries or self._deliveries[key].epoch != delivery.epoch:
            raise FencedError
        self._deliveries[key] = delivery
        self._flows.outbox[key] = self._flows.now_ms() + delay_ms

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        key = tenant, delivery.flow
        if key in self._deliveries and self._deliveries[key].epoch != delivery.epoch:
            raise FencedError
        self._deliveries.pop(key, None)
        self._flows.outbox.pop(key, None)
