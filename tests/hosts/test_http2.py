"""The container host: many streams of one client over one connection, none in another's way."""

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx
import httpx_sse
import pytest
from playwright.async_api import Page, async_playwright

from core.adapters.upstash.http import HttpRedis
from core.config import SettingsError
from infra.container import serve
from infra.local.processes import LocalError, Processes, free_port, is_listening
from tests.certificate import Certificate, self_signed
from tests.fixtures_api import SECRET, Api, process_environ
from tests.fixtures_ports import over_redis
from tests.fixtures_servers import Rest, unavailable
from tests.h2_client import Client
from tests.live import FIRST_EVENTS, Teller, begun

STREAMS, EVENTS, SEED = 50, 8, 11
NAME = "container"
CHUNK = b"x" * 10_000
WATCH = """async ([flows, headers]) => {
    const ticket = async flow =>
        (await (await fetch(`/v1/flows/${flow}/ticket`, {method: "POST", headers})).json()).url;
    const urls = await Promise.all(flows.map(ticket));
    const polls = [];
    const polling = setInterval(async () => {
        const began = performance.now();
        await fetch(`/v1/flows/${flows[0]}`, {headers, cache: "no-store"});
        polls.push(performance.now() - began);
    }, 50);
    const ids = await Promise.all(urls.map(url => new Promise((done, broken) => {
        const seen = [], source = new EventSource(url);
        source.onerror = () => source.readyState === source.CLOSED && broken(new Error(url));
        source.onopen = () => window.opened = (window.opened || 0) + 1;
        source.onmessage = ({data, lastEventId}) => {
            seen.push(Number(lastEventId.split(".")[1]));
            if (JSON.parse(data).type === "RUN_FINISHED") { source.close(); done(seen); }
        };
    })));
    clearInterval(polling);
    return {ids, polls};
}"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


class Container(NamedTuple):
    api: Api
    pid: int


@pytest.fixture
def container(processes: Processes, gateway: Rest, certificate: Certificate) -> Iterator[Container]:
    port = free_port()
    pid = serving(
        processes, gateway, CREWLINE_PORT=str(port),
        CREWLINE_TLS_CERTIFICATE=str(certificate.certificate), CREWLINE_TLS_KEY=str(certificate.key),
    )  # fmt: skip
    processes.wait_until(NAME, lambda: is_listening(port), 30)
    yield Container(Api(f"https://localhost:{port}"), pid)
    processes.stop(NAME)


def serving(processes: Processes, gateway: Rest, **more: str) -> int:
    command = [sys.executable, "-m", "infra.container.serve"]
    return processes.start(NAME, command, environ=process_environ(gateway) | more)


@pytest.fixture
async def tellers(gateway: Rest) -> list[Teller]:
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    return [await begun(flows, f"f{i}") for i in range(STREAMS)]


@pytest.fixture
async def http(container: Container, certificate: Certificate, tellers: list[Teller]):
    headers = container.api.auth(tellers[0].flows.tenant) | {"accept": "text/event-stream"}
    async with httpx.AsyncClient(
        base_url=container.api.url, headers=headers, http1=False, http2=True,
        verify=certificate.trust(), timeout=20,
    ) as client:  # fmt: skip
        yield client


@pytest.fixture
async def streams(http: httpx.AsyncClient, tellers: list[Teller]):
    """All flows, each over a stream of its own."""
    async with AsyncExitStack() as open_:
        urls = [f"/v1/flows/{teller.claim.flow}/events" for teller in tellers]
        yield [await open_.enter_async_context(http.stream("GET", url)) for url in urls]


async def numbers(stream: httpx.Response) -> list[int]:
    """The numbers of the events until the flow ends."""
    seen: list[int] = []
    async for event in httpx_sse.EventSource(stream).aiter_sse():
        seen.append(int(event.id.partition(".")[2]))
        if event.json()["type"] == "RUN_FINISHED":
            break
    return seen


async def polls(http: httpx.AsyncClient, seconds: list[float]) -> None:
    """Poll one status again and again; note how long each answer takes."""
    while True:
        began = time.monotonic()
        answer = await http.get("/v1/flows/f0")
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        seconds.append(time.monotonic() - began)


async def test_fifty_streams_share_a_connection_and_none_waits_for_another(
    http: httpx.AsyncClient, streams: list[httpx.Response], tellers: list[Teller]
):
    print("seed", SEED)
    rng, seconds = random.Random(SEED), list[float]()
    polling = asyncio.create_task(polls(http, seconds))
    unread, *others = streams  # and the flow of the one that is not read is told most
    reading = [asyncio.create_task(numbers(stream)) for stream in others]
    for teller in rng.sample(tellers * EVENTS, STREAMS * EVENTS):
        await teller.tell("x" * rng.randrange(2000))
        await tellers[0].tell("y" * 2000)
    await asyncio.gather(*(teller.end() for teller in tellers))
    async with asyncio.timeout(10):
        seen = await asyncio.gather(*reading)
    polling.cancel()
    p95 = sorted(seconds)[int(len(seconds) * 0.95)]
    print(f"{len(seconds)} polls, p95 {p95 * 1000:.0f} ms")
    sockets = {s.extensions["network_stream"].get_extra_info("client_addr") for s in streams}
    assert len(sockets) == 1
    assert unread.status_code == 200
    assert seen == [list(range(1, FIRST_EVENTS + EVENTS + 3))] * len(others)
    assert p95 < 0.5


async def test_a_stop_takes_two_seconds_at_most_and_ends_streams_after_a_whole_event(
    processes: Processes,
    container: Container,
    streams: list[httpx.Response],
    tellers: list[Teller],
):
    await tellers[0].tell("the last")
    await asyncio.sleep(0.3)
    took = time.monotonic()
    os.kill(container.pid, signal.SIGTERM)
    texts = await asyncio.gather(*(stream.aread() for stream in streams))
    with pytest.raises(LocalError, match="exit code 0"):
        await asyncio.wait_for(processes.watch(), 5)
    took = time.monotonic() - took
    print(f"stopped in {took:.2f} s")
    assert took < 2
    assert all(text.startswith(b"retry: ") and text.endswith(b"\n\n") for text in texts)
    assert b"the last" in texts[0]


async def tell_once_all_are_open(page: Page, tellers: list[Teller]) -> None:
    await page.wait_for_function(f"window.opened === {len(tellers)}")
    for teller in tellers * EVENTS:
        await teller.tell("z" * 500)
    await asyncio.gather(*(teller.end() for teller in tellers))


async def test_a_page_in_chromium_has_fifty_event_sources_on_one_connection(
    container: Container, tellers: list[Teller]
):
    if (browser := shutil.which("chromium")) is None:
        unavailable(LocalError("there is no chromium on PATH"))
    used: dict[str, set[tuple[str, Any]]] = {"EventSource": set(), "Fetch": set()}

    def note(event: dict[str, Any]) -> None:
        answer = event["response"]
        used.get(event["type"], set()).add((answer["protocol"], answer["connectionId"]))

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=browser, args=["--ignore-certificate-errors"]
        )
        page = await chromium.new_page(bypass_csp=True)  # the page's own policy forbids eval
        network = await page.context.new_cdp_session(page)
        network.on("Network.responseReceived", note)
        await network.send("Network.enable")
        await page.goto(container.api.url)  # a problem document: of the right origin, all the same
        headers = container.api.auth(tellers[0].flows.tenant)
        telling = asyncio.create_task(tell_once_all_are_open(page, tellers))
        seen = await page.evaluate(WATCH, [[t.claim.flow for t in tellers], headers])
        await telling
        await chromium.close()
    slowest = max(seen["polls"])
    print(f"{len(seen['polls'])} polls, the slowest {slowest:.0f} ms")
    assert seen["ids"] == [list(range(1, FIRST_EVENTS + EVENTS + 3))] * STREAMS
    assert used["EventSource"] == used["Fetch"]
    assert [protocol for protocol, _ in used["EventSource"]] == ["h2"]
    assert slowest < 2000


def test_a_setting_that_is_missing_or_wrong_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], certificate: Certificate
):
    assert serve.main({}) == 1
    assert capsys.readouterr().err.startswith("crewline: UPSTASH_REDIS_REST_URL is not set")
    environ = {
        "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
        "UPSTASH_REDIS_REST_TOKEN": "none",
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        "CREWLINE_BUCKET": "none",
        "CREWLINE_TLS_CERTIFICATE": str(certificate.certificate),
    }
    assert serve.main(environ) == 1
    assert capsys.readouterr().err == "crewline: CREWLINE_TLS_KEY must name a PEM file\n"


def test_a_port_that_is_none_is_told_by_its_name():
    for name in ("CREWLINE_PORT", "PORT"):
        for port in ("http", "0", "70000"):
            with pytest.raises(SettingsError, match=f"^{name} must"):
                serve.read({name: port})


@pytest.mark.parametrize("http2", [False, True])
async def test_behind_what_ends_tls_it_speaks_in_the_clear(
    processes: Processes, gateway: Rest, http2: bool
):
    port = free_port()
    serving(processes, gateway, PORT=str(port))
    processes.wait_until(NAME, lambda: is_listening(port), 30)
    async with httpx.AsyncClient(http1=not http2, http2=http2) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/health")
    processes.stop(NAME)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2" if http2 else "HTTP/1.1")


class Talker:
    """ASGI: an answer of many chunks, without a thought of who reads it."""

    def __init__(self) -> None:
        self.chunks, self.taken, self.ended = 10**9, 0, asyncio.Event()

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self.chunks):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.taken += len(CHUNK)
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
        self.ended.set()


@pytest.fixture
async def talker(certificate: Certificate):
    """Somebody who talks, on the container's server but in this process, and a client."""
    app, port, stopping = Talker(), free_port(), asyncio.Event()
    names = ("CREWLINE_TLS_CERTIFICATE", "CREWLINE_TLS_KEY")
    environ = {"CREWLINE_PORT": str(port), **dict(zip(names, map(str, certificate), strict=True))}
    serving = asyncio.create_task(serve.serve(app, serve.read(environ), stopping))
    while not is_listening(port):  # noqa: ASYNC110 -- nobody says when it is
        await asyncio.sleep(0.01)
    trust = certificate.trust()
    trust.set_alpn_protocols(["h2"])
    client = Client(*await asyncio.open_connection("localhost", port, ssl=trust))
    yield app, client
    client.writer.transport.abort()
    stopping.set()
    await serving


async def test_a_stream_that_is_not_read_takes_no_memory_and_holds_no_other_up(talker):
    app, client = talker
    client.get(1)
    await client.read(to=0)
    assert client.received[1] == 65_535  # all that its window lets through
    assert app.taken < 2 * 65_535
    client.get(3)
    await client.read(to=3)
    assert client.received[1] == 65_535
    assert client.received[3] > 1_000_000
    print(f"{client.received[3] / 1e6:.1f} MB past a stream that stands still")


async def test_an_answer_that_waits_for_a_client_ends_when_that_hangs_up(talker):
    app, client = talker
    app.chunks = 20
    client.get(1)
    await client.read(to=0)
    assert not app.ended.is_set()
    client.writer.transport.abort()
    await asyncio.wait_for(app.ended.wait(), 5)
