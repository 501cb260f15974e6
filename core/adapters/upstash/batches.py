"""Reads of short fields that are asked for at the same time, sent in one request.

Of what a poll costs beside its command, most is the HTTP around it. A function that answers many
polls at once shares that among them: what is asked within one turn of the event loop, or while an
earlier batch is away but no longer than a millisecond, travels together. Whoever asks alone does
not wait. Commands are billed one by one either way.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import Any

from core.adapters.upstash.commands import Command, Commands
from core.adapters.upstash.refusals import CommandError

LONGEST_BATCH = 100
GATHER_SECONDS = 0.001  # less than a round trip to the store
_Asked = tuple[Command, "asyncio.Future[Any]"]


class BatchedReads:
    """Commands that pass on what they are given, HMGETs in batches.

    Only HMGET, since its replies are short: nobody's poll waits for another's page of events.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._batches: _Batches | None = None

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        if command[0] != "HMGET":
            return await self._commands.execute(command)
        batches, loop = self._batches, asyncio.get_running_loop()
        if batches is None or batches.loop is not loop:
            batches = self._batches = _Batches(self._commands, loop)
        return await batches.ask(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several, in order, in one request."""
        return await self._commands.pipeline(commands)


class _Batches:
    """Those of one event loop."""

    def __init__(self, commands: Commands, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self._commands = loop, commands
        self._asked: list[_Asked] = []
        self._away = set[asyncio.Task[None]]()

    def ask(self, command: Command) -> "asyncio.Future[Any]":
        """Return the reply to come."""
        reply: asyncio.Future[Any] = self.loop.create_future()
        if not self._asked:
            self._soon()
        elif len(self._asked) == LONGEST_BATCH:
            self._send()
            self._soon()
        self._asked.append((command, reply))
        return reply

    def _soon(self) -> None:
        # In no caller's context: a batch has no deadline and no line of a log of its own.
        if self._away:
            self.loop.call_later(GATHER_SECONDS, self._send, context=Context())
        else:
            self.loop.call_soon(self._send, context=Context())

    def _send(self) -> None:
        if not self._asked:  # gone with a full batch
            return
        asked, self._asked = self._asked, []
        task = self.loop.create_task(self._answer(asked))
        self._away.add(task)
        task.add_done_callback(self._away.discard)

    async def _answer(self, asked: list[_Asked]) -> None:
        try:
            results = await self._results([command for command, _ in asked])
        except Exception as error:  # noqa: BLE001 -- raised where they were asked
            if isinstance(error, CommandError) and len(asked) > 1:  # not told which is at fault
                for one in asked:
                    await self._answer([one])
            else:
                _fail(asked, error)
        else:
            for (_, reply), result in zip(asked, results, strict=True):
                if not reply.done():  # who asked may have gone
                    reply.set_result(result)

    async def _results(self, commands: list[Command]) -> list[Any]:
        if len(commands) == 1:
            return [await self._commands.execute(commands[0])]
        return await self._commands.pipeline(commands)


def _fail(asked: list[_Asked], error: Exception) -> None:
    for _, reply in asked:
        if not reply.done():
            reply.set_exception(error)
