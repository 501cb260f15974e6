"""Listening to wake-ups beside a loop that polls."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.due_loop import Due, DueLoop, Idle, Room
from core.errors import UnavailableError
from functions._worker import listening
from tests.webhook_parts import until

POLLING, LISTENING = Idle(longest=1.0), Idle(longest=60.0)


class Listener:
    """Fails as often as it is told, then has one wake-up and stays open until it is cut."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.cut, self.attempts = list(failures), asyncio.Event(), 0

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        yield self._wake_ups()

    async def _wake_ups(self) -> AsyncIterator[tuple[str, str]]:
        yield "acme", "f1"
        await self.cut.wait()
        raise UnavailableError("it was cut")


def a_loop() -> DueLoop[str]:
    async def lease(_limit: int, _per_tenant: int) -> Due[str]:
        return Due((), None)

    async def run(_tenant: str, _flow: str) -> None:
        pass

    return DueLoop("flows", lease, run, Room(1, 1), POLLING)


async def test_a_loop_sleeps_long_only_while_wake_ups_are_listened_to(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(listening, "RECONNECT_SECONDS", 0.01)
    listener, loop, woken = Listener(UnavailableError("not yet")), a_loop(), list[tuple[str, str]]()
    async with listening.listening(listener, loop, lambda *wake: woken.append(wake), LISTENING):
        await until(lambda: woken == [("acme", "f1")])
        assert loop.idle is LISTENING
        assert loop.woken.is_set()  # what came before may have been missed
        listener.failures += [UnavailableError("away")] * 1000
        loop.woken.clear()
        listener.cut.set()
        await until(loop.woken.is_set)
        assert loop.idle is POLLING


@pytest.mark.parametrize("error", [UnavailableError("away"), KeyError("s3cret")])
async def test_an_outage_is_logged_once_and_the_next_one_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(listening, "RECONNECT_SECONDS", 0.001)
    listener, loop = Listener(*[error] * 20), a_loop()
    async with listening.listening(listener, loop, lambda *_: None, LISTENING):
        await until(lambda: loop.idle is LISTENING)
        assert len(caplog.records) == 1
        listener.failures += [error] * 20
        listener.cut.set()
        await until(lambda: listener.attempts > 30)
        assert len(caplog.records) == 2
