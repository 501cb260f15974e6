"""Ways to ask the local gateway: a client with its token, a key of the test, lines of a subscription."""

import hashlib
from contextlib import asynccontextmanager

import httpx
import pytest

FLAGGED = "#!lua flags=allow-key-locking\nreturn {KEYS[1], ARGV[1]}"


@pytest.fixture
async def http(gateway):
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=10) as client:
        yield client


@pytest.fixture
def key(request):
    return f"key:{request.node.name}"


@asynccontextmanager
async def subscribed(http, path, method="GET"):
    """Lines of data as they come; the acknowledgement is the first."""
    async with http.stream(method, path) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield (line async for line in response.aiter_lines() if line)


async def answer(http, *command, path="/", **headers):
    return (await http.post(path, json=list(command), headers=headers)).json()


def sha1(text):
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
