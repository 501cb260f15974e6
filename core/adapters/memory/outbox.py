"""Outbox in one process' memory, over the flows that are in memory too."""

from dataclasses import replace

from core.adapters.memory.flows import MemoryFlows
from core.crews.ledger import FencedError
from core.due_loop import Due
from core.errors import NotFoundError
from core.webhooks.outbox import Delivery, News

Key = tuple[str, str]  # tenant, flow


class MemoryOutbox:
    """Keeps how far each flow has come; which flows there are, `flows.outbox` says."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows
        self._deliveries: dict[Key, Delivery] = {}
        self._leased_until: dict[Key, int] = {}
        self._served: dict[str, int] = {}
        self._turn = 0

    async def lease(self, limit: int, per_tenant: int, lease_ms: int) -> Due[Delivery]:
        now, found = self._flows.now_ms(), list[tuple[str, Delivery]]()
        self._take_alerts(now)
        tenants = {tenant for tenant, _ in self._flows.outbox}
        for tenant in sorted(tenants, key=lambda name: (self._served.get(name, 0), name)):
            share = min(per_tenant, limit - len(found))
            due = [key for at, key in self._entries(tenant) if at <= now and self._free(key, now)]
            found += [(tenant, self._lease(key, now + lease_ms)) for key in due[:share]]
            if due[:share]:
                self._turn += 1
                self._served[tenant] = self._turn
        soonest = min(self._flows.outbox.values(), default=None)
        return Due(found, None if soonest is None else max(0, soonest - now))

    def _take_alerts(self, now: int) -> None:
        queued = self._flows.budgets.queued
        for key, alert in queued.items():
            self._deliveries[key] = Delivery(key[1], 0, alert=alert)
            self._flows.outbox[key] = now
        queued.clear()

    def _entries(self, tenant: str) -> list[tuple[int, Key]]:
        return sorted((at, key) for key, at in self._flows.outbox.items() if key[0] == tenant)

    def _free(self, key: Key, now: int) -> bool:
        """Tell whether nobody has a flow; one that was made due meanwhile waits for its lease."""
        until = self._leased_until.get(key, 0)
        if until > now:
            self._flows.outbox[key] = until
        return until <= now

    def _lease(self, key: Key, until: int) -> Delivery:
        delivery = self._deliveries.get(key, Delivery(key[1], 0))
        self._deliveries[key] = replace(delivery, epoch=delivery.epoch + 1)
        self._flows.outbox[key] = self._leased_until[key] = until
        return self._deliveries[key]

    async def renew(self, tenant: str, delivery: Delivery, lease_ms: int) -> None:
        key = self._held(tenant, delivery)
        self._deliveries[key] = delivery
        self._flows.outbox[key] = self._leased_until[key] = self._flows.now_ms() + lease_ms

    async def save(
        self, tenant: str, delivery: Delivery, delay_ms: int, news: News | None = None
    ) -> None:
        key = self._held(tenant, delivery)
        if news is not None and self._sequence(key) > news.seen:
            delay_ms = min(delay_ms, news.soon_ms)
        self._deliveries[key] = delivery
        self._leased_until.pop(key, None)
        self._flows.outbox[key] = self._flows.now_ms() + delay_ms

    def _sequence(self, key: Key) -> int:
        try:
            return self._flows.record(*key).flow.head.last_event
        except NotFoundError:
            return 0

    def _held(self, tenant: str, delivery: Delivery) -> Key:
        key = tenant, delivery.flow
        known = self._deliveries.get(key) if key in self._flows.outbox else None
        if known is None or known.epoch != delivery.epoch:
            raise FencedError
        return key

    async def remove(self, tenant: str, delivery: Delivery) -> None:
        key = tenant, delivery.flow
        if key in self._deliveries and self._deliveries[key].epoch != delivery.epoch:
            raise FencedError
        self._deliveries.pop(key, None)
        self._leased_until.pop(key, None)
        self._flows.outbox.pop(key, None)
