"""Commands over Upstash's own client: for an operator's commands, and what others are compared with.

It is the synchronous client, in a thread: unlike the asynchronous one it belongs to no event loop,
so whoever runs one loop after another may keep it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from upstash_redis import Redis
from upstash_redis.errors import UpstashError

from core.adapters.upstash.commands import Command
from core.adapters.upstash.http import REPLY_STATUSES, TIMEOUT_SECONDS
from core.adapters.upstash.refusals import error_from_reply
from core.errors import UnavailableError


class SdkRedis:
    """The SDK without its own retry (three seconds late, and deaf to what it repeats).

    It has no time-out and takes a failing service's answer for one of Redis, hence the limit and
    the hook here. It keeps the sync token itself.
    """

    def __init__(self, url: str, token: str) -> None:
        self._redis = Redis(url, token, rest_encoding=None, rest_retries=0, allow_telemetry=False)
        # The SDK offers no way to its HTTP client; tests/contract/test_commands.py notices a change.
        client: httpx.Client = self._redis._http._client  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        client.event_hooks = {"response": [_refuse_faults]}
        client.timeout = TIMEOUT_SECONDS

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        return await asyncio.to_thread(_translated, lambda: self._redis.execute([*command]))  # pyright: ignore[reportUnknownMemberType, reportUnknownLambdaType]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several in one request."""
        batch = self._redis.pipeline()
        for command in commands:
            batch.execute([*command])  # pyright: ignore[reportUnknownMemberType]
        return await asyncio.to_thread(_translated, batch.exec)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _translated(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except UpstashError as error:
        raise error_from_reply(str(error)) from error
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnavailableError("the store does not answer") from error


def _refuse_faults(response: httpx.Response) -> None:
    if response.status_code not in REPLY_STATUSES:
        raise httpx.HTTPStatusError(
            "no reply of Redis", request=response.request, response=response
        )
