"""Other people's clients, used as their own documentation says, over connections that are cut: each
is handed every event once, in order, and nothing else. And behind a proxy that compresses, events
come as they happen."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import httpx_sse
import pytest

from core.adapters.upstash.http import HttpRedis
from infra.local.processes import LocalError, Processes, free_port, is_listening
from tests.cutting_proxy import CuttingProxy, cutting
from tests.fixtures_api import Api
from tests.fixtures_js import NodeRun, NodeStart
from tests.fixtures_ports import Flows, over_redis
from tests.fixtures_servers import Rest, unavailable
from tests.live import Teller, begun

CUTS, EVENTS, SEED = 25, 120, 11
NODE = ["fetch-event-source, with care", "fetch-event-source, its README", "eventsource"]
CADDYFILE = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    encode zstd gzip
    reverse_proxy {url}
}}
"""
Told = list[tuple[str, str]]  # id and data of what a client was handed


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


async def work(teller: Teller) -> None:
    for number in range(EVENTS):
        await teller.tell("ünicode\n" * (number % 7))
        await asyncio.sleep(0.01)
    await teller.end()


async def with_httpx_sse(url: str, headers: dict[str, str]) -> Told:
    """Read with httpx-sse, decoding each event that it yields; come back until 204."""
    told: Told = []
    async with httpx.AsyncClient(headers=headers, timeout=20) as http:
        while True:
            cursor = {"last-event-id": told[-1][0]} if told else {}
            with contextlib.suppress(httpx.TransportError):
                async with httpx_sse.aconnect_sse(http, "GET", url, headers=cursor) as source:
                    if source.response.status_code == 204:
                        return told
                    async for event in source.aiter_sse():
                        event.json()
                        told.append((event.id, event.data))


async def read(run_node: NodeRun, client: str, url: str, headers: dict[str, str]) -> Told:
    if client == "httpx-sse":
        return await with_httpx_sse(url, headers)
    arguments = (client, url, headers["authorization"])
    done = await asyncio.to_thread(run_node, "sse_client.mjs", *arguments, timeout=50)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("client", ["httpx-sse", *NODE])
async def test_a_foreign_client_that_is_cut_is_handed_every_event_once(
    client: str, api: Api, flows: Flows, run_node: NodeRun
):
    print("seed", SEED)
    teller = await begun(flows, "f1")
    proxy = CuttingProxy(api.url, CUTS, 1200, random.Random(SEED))
    async with cutting(proxy) as url, asyncio.timeout(55):
        reading = read(run_node, client, f"{url}/v1/flows/f1/events", api.auth(flows.tenant))
        told, _ = await asyncio.gather(reading, work(teller))
    numbers = [int(event_id.partition(".")[2]) for event_id, _ in told]
    seen = [json.loads(data) for _, data in told]
    assert proxy.done == CUTS
    assert numbers == list(range(1, len(told) + 1))
    assert [e["value"]["seq"] for e in seen if e.get("name") == "told"] == [*range(1, EVENTS + 1)]
    assert seen[-1]["type"] == "RUN_FINISHED"


@pytest.mark.parametrize("client", ["httpx-sse", *NODE])
async def test_of_several_flows_it_is_handed_every_event_once_too(
    client: str, api: Api, flows: Flows, run_node: NodeRun
):
    tellers = [await begun(flows, name) for name in ("f1", "f2")]
    proxy = CuttingProxy(api.url, CUTS, 1200, random.Random(SEED))
    async with cutting(proxy) as url, asyncio.timeout(55):
        reading = read(run_node, client, f"{url}/v1/events?flows=f1,f2", api.auth(flows.tenant))
        told, *_ = await asyncio.gather(reading, *map(work, tellers))
    assert proxy.done == CUTS
    for place, flow in enumerate(("f1", "f2")):
        own = [event_id for event_id, data in told if json.loads(data)["flow"] == flow]
        numbers = [int(event_id.split("~")[place].partition(".")[2]) for event_id in own]
        assert numbers == list(range(1, EVENTS + 7))


@pytest.fixture(params=["compressing_proxy.mjs", "gathering_proxy.mjs"])
def compressing(api: Api, start_node: NodeStart, request: pytest.FixtureRequest) -> Iterator[str]:
    proxy = start_node(request.param, api.url)
    assert proxy.stdout is not None
    yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
    proxy.kill()
    proxy.communicate()


@pytest.fixture
def caddy(api: Api, processes: Processes, tmp_path: Path) -> str:
    if shutil.which("caddy") is None:
        unavailable(LocalError("there is no caddy on PATH"))
    port = free_port()
    (tmp_path / "Caddyfile").write_text(CADDYFILE.format(port=port, url=api.url))
    command = ["caddy", "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    processes.start("caddy", command, environ=os.environ | {"HOME": str(tmp_path)})
    processes.wait_until("caddy", lambda: is_listening(port), 20)
    return f"http://127.0.0.1:{port}"


async def first_event_seconds(answering: httpx.Response, begun_at: float) -> float:
    async for _ in httpx_sse.EventSource(answering).aiter_sse():
        return time.monotonic() - begun_at
    raise AssertionError("a stream without an event")


@pytest.mark.parametrize(
    "path", ["/v1/flows/f1/events", "/v1/events?flows=f1", "/v1/agui/research_brief"]
)
async def test_behind_a_compressing_proxy_the_first_event_comes_at_once(
    path: str, api: Api, flows: Flows, compressing: str
):
    """The proxy compresses event streams as well, and holds back what it has not enough of."""
    await begun(flows, "f1")
    headers = api.auth(flows.tenant) | {"accept-encoding": "gzip, deflate, br"}
    inputs = {"question": "What?", "notes": "None."}
    run = {"threadId": "t", "runId": "r", "forwardedProps": {"inputs": inputs}}
    method, body = ("POST", run) if "agui" in path else ("GET", None)
    async with httpx.AsyncClient(base_url=compressing, headers=headers, timeout=20) as http:
        assert (await http.get("/compressed")).headers["content-encoding"] in {"br", "gzip"}
        begun_at = time.monotonic()
        async with http.stream(method, path, json=body) as answer:
            seconds = await first_event_seconds(answer, begun_at)
    print(f"{seconds * 1000:.0f} ms")
    assert seconds < 1


async def test_behind_caddy_the_first_event_comes_at_once(api: Api, flows: Flows, caddy: str):
    """Caddy codes event streams of 512 bytes and more, and does not flush them."""
    teller = await begun(flows, "f1")
    for _ in range(3):
        await teller.tell("x" * 500)
    headers = api.auth(flows.tenant) | {"accept-encoding": "gzip"}
    async with httpx.AsyncClient(base_url=caddy, headers=headers, timeout=20) as http:
        begun_at = time.monotonic()
        async with http.stream("GET", "/v1/flows/f1/events") as answer:
            assert await first_event_seconds(answer, begun_at) < 1
