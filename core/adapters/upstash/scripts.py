"""The Lua scripts, each one operation on a flow, as functions with a name.

A script runs by its SHA-1; a server that does not know it (a new one, or one that was flushed)
gets its text once more.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from core.adapters.upstash.commands import CommandError, Commands

FOLDER = Path(__file__).parent / "lua"


@cache
def text(name: str) -> str:
    """Return the script with what all share in front of it."""
    return f"{(FOLDER / 'prelude.lua').read_text()}\n{(FOLDER / f'{name}.lua').read_text()}"


@cache
def _sha1(name: str) -> str:
    return hashlib.sha1(text(name).encode(), usedforsecurity=False).hexdigest()


async def run(
    redis: Commands,
    name: str,
    keys: Sequence[str],
    arguments: dict[str, Any],
    *,
    channel: str = "",
    ttl_seconds: int = 0,
    events: Sequence[str] = (),
) -> Any:
    """Run a script; `keys`, `arguments` and the reply are what its first lines say."""
    given = {name: value for name, value in arguments.items() if value is not None}
    rest = [len(keys), *keys, channel, ttl_seconds, json.dumps(given), *events]
    try:
        return await redis.execute(["EVALSHA", _sha1(name), *rest])
    except CommandError as error:
        if error.code != "NOSCRIPT":
            raise
    return await redis.execute(["EVAL", text(name), *rest])
