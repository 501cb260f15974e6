"""The network between a browser and the API: it serves the page, and does to requests what it is told.

Everything has one origin, as on a deployment that serves `public/` itself. A connection carries
one request, so what is open can be counted.
"""

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests import proxy
from tests.proxy import listening

PUBLIC = Path(__file__).parents[2] / "public"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
BLANK = b"<!doctype html><meta charset=utf-8><title>blank</title>"
RETRY = re.compile(rb"retry: \d{4}\n")  # of a stream
AT_ONCE = b"retry: 0010\n"  # as long, so a chunk's length stays right
ARRIVED_SECONDS = 0.02  # a reset that follows at once takes back what was sent before it
STREAM, LONG_POLL, CATCH_UP, STATUS = "stream", "longpoll", "catch-up", "status"


class Request(proxy.Request):
    """What a browser asked; `kind` says in which way it follows a flow, if it does."""

    @property
    def kind(self) -> str | None:
        path = self.path
        if path.endswith("/events"):
            waits = self.headers.get("prefer", "wait=0") != "wait=0"
            return (LONG_POLL if waits else CATCH_UP) if "after" in self.query else STREAM
        return STATUS if path.startswith("/v1/flows/") and self.method == "GET" else None

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def flows(self) -> set[str]:
        """The flows of a stream: several by their names in the query, or the one of the path."""
        several = self.path == "/v1/events"
        return set(self.query["flows"].split(",")) if several else {self.path.split("/")[3]}


@dataclass(frozen=True)
class Fate:
    """What becomes of an answer: passed, or cut or stalled after some bytes, held until it is whole,
    or replaced by another.
    """

    cut: int | None = None
    stall: int | None = None
    held: bool = False
    answer: bytes | None = None


PASS = Fate()
HOLD = Fate(held=True)


RESET = Fate(answer=b"")


def answer(status: str, *headers: str, body: bytes = b"") -> Fate:
    """Answer instead of the API."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return Fate(answer=f"HTTP/1.1 {status}\r\n{lines}connection: close\r\n\r\n".encode() + body)


def only(fate: Fate, *kinds: str) -> Callable[[Request], Fate]:
    """Do this to these ways of following a flow, and let the rest pass."""
    return lambda request: fate if request.kind in kinds else PASS


@dataclass
class Network:
    """What passes. `fate` is asked at each request to the API, and may be changed at any time."""

    url: str = ""
    fate: Callable[[Request], Fate] = field(default=lambda _: PASS)
    authorization: str | None = None  # for requests without one: an EventSource sends none
    requests: list[Request] = field(default_factory=list)
    open: Counter[str | None] = field(default_factory=Counter)
    most: Counter[str | None] = field(default_factory=Counter)  # that were open at once
    cuts: int = 0
    live: set[asyncio.StreamWriter] = field(default_factory=set)
    down: bool = False

    def asked(self, kind: str) -> list[Request]:
        return [request for request in self.requests if request.kind == kind]

    async def until_closed(self, kind: str) -> None:
        """Wait until nothing of a kind is open; that somebody has left is noticed a little later."""
        async with asyncio.timeout(10):
            while self.open[kind]:  # noqa: ASYNC110 -- a counter has no event
                await asyncio.sleep(0.02)

    def hang_up(self) -> None:
        """Cut all that is open now."""
        for writer in self.live:
            writer.transport.abort()

    def cut_at_random(self, least: int, most: int, seed: int) -> None:
        """Cut every answer that follows a flow after some bytes, from `least` to `most`."""
        rng = random.Random(seed)
        self.fate = lambda request: Fate(cut=rng.randrange(least, most)) if request.kind else PASS


def _file(target: str) -> bytes:
    """Answer with a file of `public/`, or with a blank page."""
    name = urlsplit(target).path.lstrip("/") or "index.html"
    path = PUBLIC / name
    found = path.is_file() and path.suffix in TYPES
    body = path.read_bytes() if found else BLANK
    kind = TYPES[path.suffix] if found else "text/html"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}; charset=utf-8\r\ncache-control: no-cache\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter, fate: Fate) -> bool:
    """Copy an answer; return whether it was cut short."""
    held, left = b"", fate.cut if fate.stall is None else fate.stall
    while chunk := await source.read(65536):
        if fate.cut:
            chunk = RETRY.sub(AT_ONCE, chunk)
        if fate.held:
            held += chunk
            continue
        sink.write(chunk[:left])
        await sink.drain()
        if left is not None and (left := left - len(chunk)) <= 0:
            if fate.stall is not None:
                await asyncio.Event().wait()  # for ever: a connection that is dead and looks alive
            return True
    sink.write(held)
    return False


@asynccontextmanager
async def network(api: str) -> AsyncIterator[Network]:
    """Yield the network in front of an API."""
    net = Network()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await handle(await Request.read(reader), reader, writer)
        writer.close()

    async def handle(
        request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not request.target.startswith("/v1/"):
            writer.write(_file(request.target))
            return
        net.requests.append(request)
        fate = RESET if net.down else net.fate(request)
        if fate.answer is not None:
            writer.write(fate.answer)
            if not fate.answer:
                writer.transport.abort()
            return
        net.open[request.kind] += 1
        net.most[request.kind] = max(net.most[request.kind], net.open[request.kind])
        net.live.add(writer)
        try:
            await forward(request, reader, writer, fate)
        finally:
            net.open[request.kind] -= 1
            net.live.discard(writer)

    async def forward(
        request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Fate
    ) -> None:
        more = {"authorization": net.authorization} if net.authorization else {}
        source, upstream = await request.sent_on(api, **more)
        copying = asyncio.create_task(_pipe(source, writer, fate))
        leaving = asyncio.create_task(reader.read())
        try:
            await asyncio.wait({copying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if copying.done() and copying.result():
                net.cuts += 1
                await asyncio.sleep(ARRIVED_SECONDS)
                writer.transport.abort()
        finally:
            copying.cancel()
            leaving.cancel()
            upstream.close()

    async with listening(serve) as net.url:
        yield net
