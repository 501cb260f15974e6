"""Sending commands to Redis over Upstash's REST protocol, whichever client carries them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from core.adapters.upstash.refusals import CommandError
from core.retries import RetryPolicy

__all__ = ["Command", "CommandError", "Commands", "PubSub", "RetryingClient", "at_leader", "read"]

Command = Sequence[str | int]
_READ_SCRIPT = """#!lua flags=allow-key-locking
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"""


class Commands(Protocol):
    """Port of these adapters: a client.

    Replies are JSON as the REST API gives it: strings, integers, None, lists of them. Raises
    CommandError for a fault of ours, TooLargeError for what the store will never take, and
    UnavailableError where another try may help.
    """

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        ...

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several, in order, in one request; not a transaction."""
        ...


def at_leader(command: Command) -> Command:
    """Return a read of one key as a script: it runs where writes do, so it sees all of them.

    A plain read may be served by a replica that is behind. Billed as two commands.
    """
    name, key, *arguments = command
    return ["EVAL", _READ_SCRIPT, 1, key, name, *arguments]


def whose(command: Command) -> str:
    """Return the tenant whose key a command reads first; all keys of tenants name theirs (keys.py)."""
    name, *rest = command
    key = str(rest[2] if name in ("EVAL", "EVALSHA") else rest[0] if rest else name)
    return key.split(":", 2)[1] if ":" in key else key


async def read(redis: Commands, command: Command, *, fresh: bool = False) -> list[Any]:
    """Read one key, by a plain read or (`fresh`) at the leader.

    What a replica does not have may have been written a moment ago, so then the leader is asked.
    """
    reply: list[Any] = [] if fresh else await redis.execute(command)
    return reply if any(reply) else await redis.execute(at_leader(command))


class PubSub(Protocol):
    """Port of these adapters: the messages of a channel."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Subscribe; entered when that is acknowledged, iteration ends when the connection does.

        Raises UnavailableError.
        """
        ...


class RetryingClient:
    """Sends a command again where that may help, within the caller's deadline (`core.retries`).

    Right only because nothing Crewline sends does harm when it runs twice: scripts know their
    earlier call by its epoch and number, the rest reads or sets.
    """

    def __init__(self, commands: Commands, policy: RetryPolicy | None = None) -> None:
        self._commands = commands
        self._policy = policy or RetryPolicy()

    async def execute(self, command: Command) -> Any:
        """Send one command, until there is an answer or the time is over."""
        return await self._policy.run(lambda: self._commands.execute(command))

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several, all of them again if one try fails."""
        return await self._policy.run(lambda: self._commands.pipeline(commands))
