"""The largest request that the store takes holds for all that is written to it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from core import bootstrap
from core.adapters.upstash.commands import Command
from core.adapters.upstash.keys import Keyspace
from core.config.settings import REQUEST_FLOOR
from core.costs.recording import Names, RecordedCall
from core.costs.usage import Usage
from core.costs.windows import Zone
from core.crews.call_ledger import Call
from core.errors import TooLargeError
from core.flows.events import BATCH_CHARACTERS
from core.webhooks.outbox import Delivery
from tests.e2e.apps import KEYS, Settings

NAMES = Names()


class Unasked:
    """A store to which nothing is sent."""

    async def execute(self, command: Command) -> Any:
        raise AssertionError(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        raise AssertionError(commands)


def made(provider: Callable[[], Any]) -> Any:
    """What a provider makes, which is not kept for the rest of the process."""
    return provider.__wrapped__()  # pyright: ignore[reportFunctionMemberAccess]


def writes() -> Iterator[Awaitable[Any]]:
    """One write of each adapter that runs scripts, as functions and commands are given them."""
    call = Call("t", "f", "s", 1, 1, "m", "c", "t", Usage(calls=1))
    yield made(bootstrap.ledger).record_failure("t", "f")
    yield made(bootstrap.operator_ledger).record_failure("t", "f")
    yield made(bootstrap.call_ledger).reserve(call)
    yield made(bootstrap.budgets).save_zone("t", Zone("UTC", ()))
    yield made(bootstrap.usage_book).record("t", [RecordedCall("i", 0, NAMES, Usage(), None, "d")])
    yield made(bootstrap.outbox).remove("t", Delivery("f", 1))


async def test_no_adapter_sends_more_than_the_setting_allows():
    chosen = Settings("http://127.0.0.1:1", "none", KEYS, "none", max_request_bytes=10)
    with bootstrap.replace(settings=chosen, redis=Unasked(), keyspace=Keyspace()):
        for write in writes():
            with pytest.raises(TooLargeError, match="at most 10"):
                await write


def test_the_setting_leaves_room_for_what_a_write_gathers():
    assert REQUEST_FLOOR >= 2 * BATCH_CHARACTERS
