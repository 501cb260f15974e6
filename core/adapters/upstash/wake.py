"""Wake-ups over the due set itself: the workers that listen hear that a flow has become due.

The channel is one for all tenants; a message names tenant and flow.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

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
    """Hears of flows that a wake-up names; of those that become due in time it does not."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[AsyncIterator[tuple[str, str]]]:
        """Subscribe."""
        async with self._pubsub.subscribe(CHANNEL) as messages:
            yield _named(messages)


async def _named(messages: AsyncIterator[str]) -> AsyncGenerator[tuple[str, str]]:
    """Yield tenant and flow of each message; one that names none is none of ours."""
    async for message in messages:
        tenant, _, flow = message.partition(" ")
        if tenant and flow:
            yield tenant, flow
