"""A dispatcher as a process of its own, for tests that kill it: url, token, tenant, receiver's url."""

import asyncio
import sys

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.log import UpstashFlowLog
from core.adapters.upstash.outbox import UpstashOutbox
from core.webhooks.dispatcher import RetryPolicy, WebhookDispatcher
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp_webhooks import render
from tests.fixtures_ports import TTL_SECONDS
from tests.webhook_parts import SECRET

POLICY = RetryPolicy(
    delays=(0.05,) * 20, lease=1.0, poll=(0.02, 0.1), poll_waiting=0.05, idle=(0.02, 0.1)
)


class OneTenant(UpstashOutbox):
    """The outbox of one test, which leaves the other tests' tenants alone."""

    def __init__(self, redis: RetryingClient, tenant: str) -> None:
        super().__init__(redis, TTL_SECONDS)
        self._tenant = tenant

    async def tenants(self) -> list[str]:
        return [self._tenant]


def dispatcher(url: str, token: str, tenant: str, receiver: str) -> WebhookDispatcher:
    """What delivers one tenant's webhooks to one service, quickly."""
    redis = RetryingClient(HttpRedis(url, token))
    return WebhookDispatcher(
        OneTenant(redis, tenant),
        UpstashFlowLog(redis, HttpPubSub(url, token)),
        HttpWebhookSender(timeout_seconds=0.8),
        Targets({tenant: (receiver,)}),
        Signer((SECRET,)),
        render,
        POLICY,
    )


if __name__ == "__main__":
    asyncio.run(dispatcher(*sys.argv[1:5]).run_forever(lambda: False))
