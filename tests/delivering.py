"""A deliverer as a process of its own, for tests that kill it: url, token, tenant, receiver's url."""

import asyncio
import sys

from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.log import UpstashFlowLog
from core.adapters.upstash.outbox import UpstashOutbox
from core.adapters.webhooks import HttpPoster
from core.deliver import Deliverer, Pace, keep_delivering
from core.webhook_targets import Targets
from core.webhooks import Signer
from tests.fixtures_ports import TTL_SECONDS
from tests.webhook_parts import SECRET

PACE = Pace(again=(0.05,) * 20, hold=1.0, look=(0.02, 0.1), look_waiting=0.05, idle=(0.02, 0.1))


class OneTenant(UpstashOutbox):
    """The outbox of one test, which leaves the other tests' tenants alone."""

    def __init__(self, redis: RetryingClient, tenant: str) -> None:
        super().__init__(redis, TTL_SECONDS)
        self._tenant = tenant

    async def tenants(self) -> list[str]:
        return [self._tenant]


def deliverer(url: str, token: str, tenant: str, receiver: str) -> Deliverer:
    """What delivers one tenant's webhooks to one service, quickly."""
    redis = RetryingClient(HttpRedis(url, token))
    return Deliverer(
        OneTenant(redis, tenant),
        UpstashFlowLog(redis, HttpPubSub(url, token)),
        HttpPoster(timeout_seconds=0.8),
        Targets({tenant: (receiver,)}),
        Signer((SECRET,)),
        PACE,
    )


if __name__ == "__main__":
    asyncio.run(keep_delivering(deliverer(*sys.argv[1:5]), lambda: False))
