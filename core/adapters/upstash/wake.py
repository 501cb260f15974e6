"""Wake-ups over the due set itself: the workers that listen hear that a flow has become due.

The channel is one for all tenants; a message names tenant and flow.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from core.adapters.upstash.commands import Commands, PubSub

CHANNEL = "wake"


class RedisWakeQueue:
    """Tells those that listen; the flow is due already."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Name the flow."""
        await self._redis.execute(["PUBLISH", CHANNEL, f"{tenant} {flow}"])


class RedisWakeListener:
    """Hears when flows become due by a wake-up; those that become due in time it does not."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe."""
        return self._pubsub.subscribe(CHANNEL)
