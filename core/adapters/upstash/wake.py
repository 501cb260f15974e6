"""Wake-ups over the due set itself: a flow becomes due, and the workers that listen hear of it.

The channel is one for all tenants and tells nothing but that there is something to look for.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from core.adapters.upstash import keys
from core.adapters.upstash.commands import Commands, PubSub

CHANNEL = "wake"


class RedisWakeQueue:
    """Makes flows due, and rings."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Make a live flow due since ever; one that has ended stays out of the set."""
        due = ["ZADD", keys.due(tenant), "XX", "LT", 0, flow]
        await self._redis.pipeline([due, ["PUBLISH", CHANNEL, "1"]])


class RedisWakeListener:
    """Hears when flows become due by a wake-up; those that become due in time it does not."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe."""
        return self._pubsub.subscribe(CHANNEL)
