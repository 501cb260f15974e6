"""Sending commands to Redis over Upstash's REST protocol, whichever client carries them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from core.errors import UnavailableError

T = TypeVar("T")
Command = Sequence[str | int]

ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.05
RETRY_SECONDS = 5.0  # a store that hangs is not asked again after this: somebody is waiting
REPLY_STATUSES = (200, 400, 401)  # what Upstash answers when Redis, or its door, did
FOR_GOOD = ("ERR", "NOSCRIPT", "WRONGTYPE", "CROSSSLOT", "NOPERM", "WRONGPASS", "NOAUTH")


class CommandError(Exception):
    """Redis understood the command and refused it; `code` is the reply's first word."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.split(" ", 1)[0]


class Commands(Protocol):
    """Port of these adapters: a client.

    Replies are JSON as the REST API gives it: strings, integers, None, lists of them. Raises
    CommandError, and UnavailableError where another try may help.
    """

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        ...

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several, in order, in one request; not a transaction."""
        ...


def error_from_reply(message: str) -> CommandError | UnavailableError:
    """Return what an `{"error": ...}` reply means: a fault of ours, or of the moment (OOM, ...)."""
    error = CommandError(message)
    if error.code in FOR_GOOD:
        return error
    return UnavailableError("the store refuses for now")


class PubSub(Protocol):
    """Port of these adapters: the messages of a channel."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe; entered when that is acknowledged, iteration ends when the connection does.

        Raises UnavailableError.
        """
        ...


class RetryingClient:
    """A client that asks again where that may help.

    Right only because nothing Crewline sends does harm when it runs twice: scripts know their
    earlier call by its epoch and number, the rest reads or sets. Waits grow with full jitter, so
    that a hundred functions do not come back in step.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def execute(self, command: Command) -> Any:
        """Send one command, up to six times."""
        return await _retry(lambda: self._commands.execute(command))

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several, all of them again if one try fails."""
        return await _retry(lambda: self._commands.pipeline(commands))


async def _retry(call: Callable[[], Awaitable[T]]) -> T:
    give_up = time.monotonic() + RETRY_SECONDS
    for attempt in range(ATTEMPTS - 1):
        try:
            return await call()
        except UnavailableError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(random.uniform(0, FIRST_WAIT_SECONDS * 2**attempt))  # noqa: S311 -- jitter
    return await call()
