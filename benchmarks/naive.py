"""The naive design, for a baseline: FastAPI, Upstash's client, the whole state on every poll.

`/v1/flows/{flow}` sends the state. `/hashed/v1/flows/{flow}` makes an ETag of it, as is often done: load,
dump, hash, compare. Neither asks who is there, which costs Crewline some of its time.
"""

import hashlib
import json
import os
from functools import cache
from typing import Annotated, Any

from fastapi import FastAPI, Header, Response
from upstash_redis.asyncio import Redis  # noqa: TID253 -- it is what is compared with

app = FastAPI()


@cache
def redis() -> Redis:
    """Return the one client of the process."""
    environ = os.environ
    return Redis(environ["UPSTASH_REDIS_REST_URL"], environ["UPSTASH_REDIS_REST_TOKEN"])


def key(flow: str) -> str:
    """Return where the state is."""
    return f"naive:{flow}"


async def _state(flow: str) -> dict[str, Any]:
    return json.loads(await redis().get(key(flow)) or "{}")


@app.get("/v1/flows/{flow}")
async def plain(flow: str) -> dict[str, Any]:
    """Answer with the state."""
    return await _state(flow)


@app.get("/hashed/v1/flows/{flow}")
async def hashed(flow: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """Answer with 304 to who has the state."""
    body = json.dumps(await _state(flow), sort_keys=True)
    headers = {"etag": etag(body)}
    if if_none_match == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def etag(body: str) -> str:
    """Return the tag of a state that was dumped with its keys sorted."""
    return f'"{hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()}"'
