"""The API with a look inside its process: GET /probe, for tests of what it leaves behind.

uvicorn tests.probed_api:app
"""

import asyncio
import ctypes
import gc
import json
import os
from pathlib import Path

from starlette.types import Receive, Scope, Send

from core import bootstrap
from infra.api import app as api

MOST_AT_ONCE = 64  # commands; more than the readers of any test send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the API, and the probe."""
    if scope["path"] != "/probe":
        await api(scope, receive, send)
        return
    await fill_the_pool()
    body = json.dumps(probe()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def fill_the_pool() -> None:
    """Have as many connections to the store as there ever are: their number tells no leak then."""
    redis = bootstrap.redis()
    await asyncio.gather(*(redis.execute(["PING"]) for _ in range(MOST_AT_ONCE)))


def probe() -> dict[str, int]:
    """Return what this process holds when all that is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "objects": len(gc.get_objects()),
        "resident_bytes": resident * os.sysconf("SC_PAGE_SIZE"),
    }
