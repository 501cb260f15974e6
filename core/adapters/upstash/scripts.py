"""The Lua scripts, each one operation on a flow, as functions with a name.

A script runs by its SHA-1; a server that does not know it (a new one, or one that was flushed)
gets its text once more. Those that count money name the key of the day they count it in, since a
script must declare its keys; the day is Redis', so a script refuses the wrong one and says the time.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from core.adapters.upstash import keys as names
from core.adapters.upstash.commands import CommandError, Commands
from core.crews.ledger import ExpiredError, FencedError
from core.errors import NotFoundError, UnavailableError
from core.flows import events as agui
from core.flows.events import Event

FOLDER = Path(__file__).parent / "lua"
DAY_MS = 86_400_000
SHARED = ("prelude", "money")


@cache
def text(folder: Path, name: str) -> str:
    """Return the script with what all share in front of it."""
    return "\n".join((folder / f"{part}.lua").read_text() for part in (*SHARED, name))


@cache
def _sha1(folder: Path, name: str) -> str:
    return hashlib.sha1(text(folder, name).encode(), usedforsecurity=False).hexdigest()


async def run(
    redis: Commands,
    name: str,
    keys: Sequence[str],
    arguments: dict[str, Any],
    *,
    channel: str = "",
    ttl_seconds: int = 0,
    events: Sequence[str] = (),
    folder: Path = FOLDER,
) -> Any:
    """Run a script; `keys`, `arguments` and the reply are what its first lines say."""
    given = {name: value for name, value in arguments.items() if value is not None}
    clean = json.dumps(given, ensure_ascii=False).encode("utf-8", "replace").decode()
    rest = [len(keys), *keys, channel, ttl_seconds, clean, *events]
    try:
        return await redis.execute(["EVALSHA", _sha1(folder, name), *rest])
    except CommandError as error:
        if error.code != "NOSCRIPT":
            raise
    return await redis.execute(["EVAL", text(folder, name), *rest])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class FlowScripts:
    """Runs the scripts that change one flow."""

    def __init__(
        self,
        redis: Commands,
        ttl_seconds: int,
        folder: Path = FOLDER,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds
        self._folder = folder
        self._now_ms = now_ms
        self._ahead_ms = 0  # of our clock is Redis'

    async def on_flow(
        self,
        name: str,
        tenant: str,
        flow: str,
        more_keys: Sequence[str],
        arguments: dict[str, Any],
        events: Sequence[Event] = (),
    ) -> list[Any]:
        """Run a script; return its verdict and what comes with it.

        Raises NotFoundError, FencedError, ExpiredError where that is the verdict.
        """
        reply: list[Any] = await run(
            self._redis,
            name,
            [names.flow(tenant, flow), names.log(tenant, flow), *more_keys],
            arguments,
            channel=names.live(tenant, flow),
            ttl_seconds=self._ttl_seconds,
            events=[agui.encode(event) for event in events],
            folder=self._folder,
        )
        _check(reply[0], flow)
        return reply

    async def counting(
        self,
        name: str,
        tenant: str,
        flow: str,
        more_keys: Sequence[str],
        arguments: dict[str, Any],
        events: Sequence[Event] = (),
    ) -> list[Any]:
        """Run a script that may count money: the same, its third key that of today's roll-up."""
        for _ in range(3):  # once, but for a wrong clock, or midnight
            day = (self._now_ms() + self._ahead_ms) // DAY_MS
            keys = [names.spend(tenant, date(day * DAY_MS)), *more_keys]
            given = {**arguments, "day": day}
            reply = await self.on_flow(name, tenant, flow, keys, given, events)
            if reply[0] != "day":
                return reply
            self._ahead_ms = reply[1] - self._now_ms()
        raise UnavailableError("the store's day could not be told")


def date(time_ms: int) -> str:
    """Return the day of a time as roll-ups name it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def _check(verdict: str, flow: str) -> None:
    if verdict == "gone":
        raise NotFoundError(f"no flow {flow}")
    if verdict == "fenced":
        raise FencedError
    if verdict == "expired":
        raise ExpiredError
