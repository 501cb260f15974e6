"""A real Chromium before the real API, with a network between them that a test may spoil.

Where there is no Chromium, these tests are skipped; with CI=true they fail.
"""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from core.adapters.upstash.http import HttpRedis
from tests.browser.network import Network, network
from tests.browser.stories import Story, begin
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows, over_redis
from tests.fixtures_servers import Rest, unavailable

WATCH = (Path(__file__).parent / "watch.js").read_text()
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all; every test has a profile of its own."""
    path = shutil.which("chromium")
    if path is None:
        unavailable(RuntimeError("no chromium: apt-get install chromium"))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def net(api: Api) -> AsyncIterator[Network]:
    async with network(api.url) as between:
        yield between


@pytest_asyncio.fixture(loop_scope="session")
async def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


@pytest_asyncio.fixture(loop_scope="session")
async def story(flows: Flows) -> Story:
    """A flow of two events or more that has not ended."""
    return await begin(flows)


@dataclass(frozen=True)
class Viewer:
    """Tabs of one browser profile, and the token of a tenant."""

    context: BrowserContext
    net: Network
    flows: Flows
    token: str

    async def tab(self, net: Network | None = None) -> "Tab":
        """Open a tab that can watch, over the usual network or another one."""
        page = await self.context.new_page()
        await page.goto(f"{(net or self.net).url}/blank")
        tab = Tab(page, self.token)
        await tab.prepare()
        return tab


@dataclass(frozen=True)
class Tab:
    """One tab, and what it has seen."""

    page: Page
    token: str

    async def prepare(self) -> None:
        """Load what watches."""
        await self.page.add_script_tag(type="module", content=WATCH)
        await self.page.wait_for_function("window.ready")

    async def reload(self) -> None:
        await self.page.reload()
        await self.prepare()

    async def watch(self, *flows: str, **options: Any) -> None:
        """Follow flows with Crewline's client."""
        options = {"token": self.token} | options
        for flow in flows or ("f1",):
            await self.page.evaluate("([flow, options]) => watch(flow, options)", [flow, options])

    async def seen(self, flow: str = "f1") -> dict[str, Any]:
        return await self.page.evaluate("flow => seen[flow]", flow)

    async def until(self, condition: str, flow: str = "f1", seconds: float = 15) -> None:
        """Wait until a condition on `log`, what was seen of the flow, holds."""
        await self.page.wait_for_function(
            f"flow => (log => {condition})(seen[flow])", arg=flow, timeout=seconds * 1000
        )

    async def until_done(self, *flows: str, seconds: float = 60) -> None:
        for flow in flows or ("f1",):
            await self.until("log.done", flow, seconds)


@pytest_asyncio.fixture(loop_scope="session")
async def viewer(browser: Browser, net: Network, api: Api, flows: Flows) -> AsyncIterator[Viewer]:
    context = await browser.new_context()
    token = api.auth(flows.tenant)["authorization"].removeprefix("Bearer ")
    yield Viewer(context, net, flows, token)
    await context.close()
