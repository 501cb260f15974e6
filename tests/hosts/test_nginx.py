"""Behind nginx with gzip on, as many will run it: polls stay conditional, streams stay live."""

import os
import shutil
import time
from collections.abc import Iterator

import httpx
import httpx_sse
import pytest

from core.adapters.upstash.http import HttpRedis
from infra.local.processes import LocalError, Processes, free_port, is_listening
from tests.fixtures_api import Api
from tests.fixtures_ports import over_redis
from tests.fixtures_servers import Rest, unavailable
from tests.live import Teller, begun

# Two ways to be in front: one leaves compression to the API, one takes it over.
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_proxied any;
    gzip_min_length 100;
    gzip_types *;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{passing};
        location / {{ proxy_pass {api}; }}
    }}
    server {{
        listen 127.0.0.1:{coding};
        location / {{ proxy_pass {api}; proxy_set_header Accept-Encoding ""; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(
    processes: Processes, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The addresses of an nginx: `passing` what the API sends, and `coding` it itself."""
    if (binary := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")) is None:
        unavailable(LocalError("there is no nginx: apt-get install nginx"))
    folder, ports = (
        tmp_path_factory.mktemp("nginx"),
        {name: free_port() for name in ("passing", "coding")},
    )
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # its workers must reach the folder
    configuration.write_text(CONFIGURATION.format(folder=folder, user=user, api=api.url, **ports))
    processes.start("nginx", [binary, "-p", str(folder), "-c", str(configuration)])
    processes.wait_until("nginx", lambda: all(map(is_listening, ports.values())))
    yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    processes.stop("nginx")


@pytest.fixture
async def teller(gateway: Rest) -> Teller:
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    return await begun(flows, "f1")


@pytest.fixture(params=["passing", "coding"])
async def http(request: pytest.FixtureRequest, nginx: dict[str, str], api: Api, teller: Teller):
    headers = api.auth(teller.flows.tenant)
    async with httpx.AsyncClient(base_url=nginx[request.param], headers=headers) as client:
        yield client


@pytest.fixture
async def direct(api: Api, teller: Teller):
    headers = api.auth(teller.flows.tenant)
    async with httpx.AsyncClient(base_url=api.url, headers=headers) as client:
        yield client


@pytest.mark.parametrize("coding", ["gzip", "identity", "br, gzip"])
async def test_a_poll_with_the_tag_that_came_through_is_a_304(
    coding: str, http: httpx.AsyncClient, direct: httpx.AsyncClient, teller: Teller
):
    asks = {"accept-encoding": coding}
    first = await http.get("/v1/flows/f1", headers=asks)
    again = await http.get("/v1/flows/f1", headers={**asks, "if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert first.headers["etag"].startswith("W/") == (coding != "identity")
    assert first.headers.get("content-encoding", "identity") in coding
    assert first.json() == (await direct.get("/v1/flows/f1")).json()
    assert "Accept-Encoding" in first.headers["vary"]
    assert "private" in again.headers["cache-control"]
    changed = await direct.get("/v1/flows/f1", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 304  # the tag is good at the API itself, too
    await teller.end()
    after = await http.get("/v1/flows/f1", headers={**asks, "if-none-match": first.headers["etag"]})
    assert (after.status_code, after.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_events_come_through_as_they_happen(
    coding: str, http: httpx.AsyncClient, teller: Teller
):
    delays: list[float] = []
    told_at = 0.0
    asks = {"accept": "text/event-stream", "accept-encoding": coding}
    async with http.stream("GET", "/v1/flows/f1/events", headers=asks) as stream:
        async for event in httpx_sse.EventSource(stream).aiter_sse():
            if '"told"' in event.data:
                delays.append(time.monotonic() - told_at)
            if '"told"' in event.data or "STEP_STARTED" in event.data:
                told_at = time.monotonic()
                await (teller.tell() if len(delays) < 10 else teller.end())
            if "RUN_FINISHED" in event.data:
                break
    print(f"{max(delays) * 1000:.0f} ms at most")
    assert len(delays) == 10
    assert max(delays) < 1


async def test_pages_of_events_are_the_same_on_both_sides(
    http: httpx.AsyncClient, direct: httpx.AsyncClient, teller: Teller
):
    for _ in range(50):
        await teller.tell("ünïcode " * 20)
    gzip = {"accept-encoding": "gzip"}  # what nginx can code as well
    path = "/v1/flows/f1/events?after=0"
    through, straight = [await c.get(path, headers=gzip) for c in (http, direct)]
    assert through.headers["content-encoding"] == "gzip"
    assert through.content == straight.content
    assert len(through.json()["events"]) > 50
