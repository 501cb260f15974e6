"""How many bytes it takes to show a flow in a browser for 10 minutes, in four ways and naively.

The flow changes 40 times, every 15 s. The exchanges of the 600 s are made as fast as they go, each
a real one: the number of polls and changes is that of real time, and no header or body depends on
how much time lies between them. The streams' lives are shortened by the same factor as the gaps.
"""

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from benchmarks import course, naive
from benchmarks.browser import CONDITIONAL, Browser
from benchmarks.parts import TENANT, Parts, Server
from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.ledger import UpstashRunLedger

STATE_BYTES = 2048
FLOW_SECONDS, CHANGES = 600, 40
POLLS_PER_CHANGE = FLOW_SECONDS // CHANGES  # one each second
STREAM_SECONDS = 55  # a stream's life by default
HOLD_SECONDS = 25  # what the clients ask for
HEARTBEAT_BYTES = len(b"3\r\n:\n\n\r\n")  # as one chunk
HELD_SECONDS = 0.02  # until a poll that was sent is sure to be held
FINAL = ("succeeded", "failed", "cancelled")
CURSOR = re.compile(rb"(?m)^id: (\S+)$")


@dataclass(frozen=True, slots=True)
class Bytes:
    """What went over the wire, headers included."""

    sent: int
    received: int
    exchanges: int

    @property
    def total(self) -> int:
        return self.sent + self.received


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts the bytes of one client after the other, each with a flow of its own."""

    parts: Parts
    ledger: UpstashRunLedger

    async def naive(self, server: Server) -> Bytes:
        """Poll each second and get the whole state each time."""
        redis, flow = self.parts.redis(), await course.launched(self.ledger, STATE_BYTES)
        async with self._browser(server) as browser, self._changes(flow) as changes:
            async for _ in changes:
                state = (await self.ledger.state(TENANT, flow)).public()
                await redis.execute(["SET", naive.key(flow), json.dumps(state)])
                for _ in range(POLLS_PER_CHANGE):
                    await browser.get(f"/v1/flows/{flow}", {})
        return _counted(browser, FLOW_SECONDS)

    async def conditional(self, server: Server, headers: Mapping[str, str]) -> Bytes:
        """Poll each second with the tag of what is known."""
        flow = await course.launched(self.ledger, STATE_BYTES)
        known = dict(headers)
        async with self._browser(server) as browser, self._changes(flow) as changes:
            async for _ in changes:
                for _ in range(POLLS_PER_CHANGE):
                    answer = await browser.get(f"/v1/flows/{flow}", known)
                    known |= CONDITIONAL | {"If-None-Match": answer.headers["etag"]}
        return _counted(browser, FLOW_SECONDS)

    async def long_poll(self, server: Server) -> Bytes:
        """Ask for what came after the last answer, and have the answer held."""
        flow = await course.launched(self.ledger, STATE_BYTES)
        async with self._browser(server) as browser, self._changes(flow) as changes:
            page, polls = await _page(browser, flow, "0"), 1
            while page["status"] not in FINAL:
                held = asyncio.create_task(_page(browser, flow, page["cursor"]))
                await asyncio.sleep(HELD_SECONDS)
                await anext(changes)
                page, polls = await held, polls + 1
        return _counted(browser, polls)

    async def stream(self, server: Server, speed: float) -> Bytes:
        """Watch the stream and come back when it ends; it lives `speed` times shorter than usual."""
        flow = await course.launched(self.ledger, STATE_BYTES)
        changing = asyncio.create_task(self._paced(flow, FLOW_SECONDS / CHANGES / speed))
        streams, cursor, told = 0, "", b""
        async with self._browser(server) as browser:
            while b'"RUN_FINISHED"' not in told:
                headers = {"Accept": "text/event-stream", "Last-Event-ID": cursor}
                async with browser.stream(f"/v1/flows/{flow}/events", headers) as chunks:
                    told = b"".join([chunk async for chunk in chunks])
                cursor = (CURSOR.findall(told) or [cursor.encode()])[-1].decode()
                streams += 1
        await changing
        browser.received += CHANGES * HEARTBEAT_BYTES  # at most: one where 15 s brought nothing
        return _counted(browser, streams)

    async def _paced(self, flow: str, gap_seconds: float) -> None:
        """Make all changes, one after each gap."""
        due = time.monotonic()
        async with self._changes(flow) as changes:
            for _ in range(CHANGES):
                due += gap_seconds
                await asyncio.sleep(due - time.monotonic())
                await anext(changes)

    def _browser(self, server: Server) -> Browser:
        return Browser(server.port, self.parts.bearer())

    def _changes(self, flow: str) -> aclosing[AsyncGenerator[None]]:
        calls = UpstashCallLedger(self.parts.redis())
        return aclosing(course.changes(self.ledger, calls, flow))


GZIP = {"Accept-Encoding": "gzip"}  # not Chromium's whole list: with brotli it would be less


async def _page(browser: Browser, flow: str, after: str) -> dict[str, Any]:
    headers = {"Accept": "application/json", "Prefer": f"wait={HOLD_SECONDS}", **GZIP}
    answer = await browser.get(f"/v1/flows/{flow}/events?after={after}", headers)
    coded = answer.headers.get("content-encoding") == "gzip"
    return json.loads(gzip.decompress(answer.body) if coded else answer.body)


def _counted(browser: Browser, exchanges: int) -> Bytes:
    return Bytes(browser.sent, browser.received, exchanges)
