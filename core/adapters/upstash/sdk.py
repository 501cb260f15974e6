"""Commands over Upstash's own client: wherever a few milliseconds a command do not matter."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from core.adapters.upstash.commands import REPLY_STATUSES, Command, error_from_reply
from core.errors import UnavailableError

TIMEOUT_SECONDS = 3.0


class SdkRedis:
    """The SDK without its own retry (three seconds late, and deaf to what it repeats).

    It has no time-out and takes a failing service's answer for one of Redis, hence the limit and
    the hook here.
    """

    def __init__(self, url: str, token: str) -> None:
        self._redis = Redis(url, token, rest_encoding=None, rest_retries=0, allow_telemetry=False)
        # The SDK offers no way to its HTTP client; tests/contract/test_commands.py notices a change.
        client: httpx.AsyncClient = self._redis._http._client  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        client.event_hooks = {"response": [_refuse_faults]}

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        return await self._translated(self._redis.execute([*command]))  # pyright: ignore[reportUnknownMemberType]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several in one request."""
        batch = self._redis.pipeline()
        for command in commands:
            batch.execute([*command])  # pyright: ignore[reportUnknownMemberType]
        return await self._translated(batch.exec())  # pyright: ignore[reportUnknownMemberType]

    async def _translated(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await call
        except UpstashError as error:
            raise error_from_reply(str(error)) from error
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError) as error:
            raise UnavailableError("the store does not answer") from error


async def _refuse_faults(response: httpx.Response) -> None:
    if response.status_code not in REPLY_STATUSES:
        raise httpx.HTTPStatusError(
            "no reply of Redis", request=response.request, response=response
        )
