"""A deployment with AMP's API, and what is asked of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions import crew_amp
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
from tests.webhook_parts import SECRET, Story

HOSTS = {"acme": ("hooks.example.com",)}


KICKOFF: dict[str, Any] = {"inputs": {"topic": "rain"}}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, webhook_hosts=HOSTS, webhook_secrets=(SECRET,)) as app:
        yield app


async def asked(
    app: App, path: str, method: str = "GET", body: Any = None, **who: Any
) -> httpx.Response:
    headers = who.pop("headers", {})
    async with app.client(crew_amp, **who) as client:
        return await client.request(method, f"/amp/{path}", json=body, headers=headers)


async def kicked_off(app: App, body: Any = None, **more: Any) -> httpx.Response:
    return await asked(app, "haiku/kickoff", "POST", body or KICKOFF, **more)


def story(app: App) -> Story:
    return Story(in_memory(app.flows, "acme"))
