"""A dispatcher as a process of its own, for tests that kill it: url, token, prefix, tenant, receiver."""

import asyncio
import sys

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.log import UpstashFlowLog
from core.adapters.upstash.outbox import UpstashOutbox
from core.due_loop import Idle
from core.flows.values import INLINE, LargeValues
from core.webhooks.dispatch import DispatchParts
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.dispatcher import WebhookDispatcher
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp.webhook_bodies import render
from tests.webhook_parts import SECRET

POLICY = DispatchTimes(delays=(0.05,) * 20, lease=1.0, poll=(0.02, 0.1), poll_waiting=30.0)
IDLE = Idle(shortest=0.02, longest=0.1)


def dispatcher(
    url: str, token: str, prefix: str, tenant: str, receiver: str, values: LargeValues = INLINE
) -> WebhookDispatcher:
    """What sends one tenant's webhooks to one service, quickly; `prefix` is that of the store's keys."""
    redis, keys = RetryingClient(HttpRedis(url, token)), Keyspace(prefix=prefix)
    parts = DispatchParts(
        UpstashOutbox(redis, keys),
        UpstashFlowLog(redis, HttpPubSub(url, token), keys),
        HttpWebhookSender(timeout_seconds=0.8),
        Targets({tenant: (receiver,)}),
        Signer((SECRET,)),
        render,
        POLICY,
        values=values,
    )
    return WebhookDispatcher(parts, IDLE)


if __name__ == "__main__":
    stopped = asyncio.Event()
    asyncio.run(dispatcher(*sys.argv[1:6]).loop(stopped.is_set).run_forever(stopped))
