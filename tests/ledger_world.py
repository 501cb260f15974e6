"""Where a ledger machine runs, and what it knows of a step."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tests.fixtures_ports import Flows

T = TypeVar("T")


class World(Protocol):
    """Where a machine runs: the ports, a loop, and the clock's levers."""

    flows: Flows

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a call, sent again until it has an answer."""
        ...

    def pass_time(self) -> None:
        """Let short leases run out."""
        ...

    def end_time(self, flow: str) -> None:
        """Have the flow's time be over."""
        ...

    def now_ms(self) -> float:
        """Return the store's time."""
        ...

    def due_at(self, flow: str) -> float | None:
        """Return when the flow is to be looked at (ms), as its tenant is found in time for it."""
        ...

    def today(self) -> str:
        """Return the store's day."""
        ...


@dataclass
class Held:
    """A step as the model knows it."""

    epoch: int = 0
    attempts: int = 0
    state: str = "pending"
    owner: str = ""
    long: bool = False
    seq: int = 0
    reserved: set[int] = field(default_factory=set[int])


def versions(told: list[dict[str, Any]]) -> list[int]:
    """The state's versions as the deltas tell them: each change is one delta."""
    deltas = [event["delta"] for event in told if event["type"] == "STATE_DELTA"]
    return [change["value"] for delta in deltas for change in delta if change["path"] == "/version"]


async def coroutine(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


async def settled_down() -> None:
    """Let short leases run out, by a real clock."""
    await asyncio.sleep(0.004)
