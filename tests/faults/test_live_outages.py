"""Streams and polls while what lies below them loses, lies, hangs, refuses, dies and comes back."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn

from core import bootstrap
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.log import UpstashFlowLog
from core.config import Settings
from core.flows.hub import Hub
from core.flows.subscription import FollowPolicy
from core.identity import Keys
from infra.api import app
from infra.local import gateway as rest_gateway
from infra.local import valkey
from infra.local.processes import Processes, free_port, is_listening
from tests.faulty_gateway import Faults, Judge, faulty_gateway
from tests.fixtures_api import SECRET, Api
from tests.fixtures_ports import over_redis
from tests.fixtures_servers import TOKEN, Rest
from tests.live import Teller, begun, read

SEED = 5
Event = Callable[["House"], None]
QUICK = FollowPolicy(silence=2.0, first=0.2, longest=1.0, subscribe_again=3.0)
OUTAGE_SECONDS = 2.5
REQUESTS_PER_SECOND = 60  # in an outage, with all flows, viewers and polls of these tests


@asynccontextmanager
async def api_over(rest: Rest) -> AsyncIterator[Api]:
    """Serve the functions from this process, with a hub of little patience."""
    commands = RetryingClient(HttpRedis(rest.url, rest.token))
    log = UpstashFlowLog(commands, HttpPubSub(rest.url, rest.token))
    keys, port = {"k1": SECRET}, free_port()
    settings = Settings(rest.url, rest.token, keys, "none")
    config = uvicorn.Config(app, port=port, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    with bootstrap.replace(settings=settings, keys=Keys(keys), flow_log=log, hub=Hub(log, QUICK)):
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 -- it does not say when
            await asyncio.sleep(0.01)
        yield Api(f"http://127.0.0.1:{port}")
        server.should_exit = True
        await serving


def judges(rng: random.Random) -> dict[str, Judge | None]:
    """The faults of subscriptions, by the flow that suffers them."""
    return {
        "sound": lambda _: "pass",
        "lost": lambda _: "drop",
        "half-open": lambda number: "pass" if number <= 10 else "drop",
        "gaps": lambda _: "drop" if rng.random() < 0.3 else "pass",
        "cuts": lambda _: "cut" if rng.random() < 0.1 else "pass",
        "missing": None,
    }


async def tell_all(tellers: list[Teller], seconds: float) -> None:
    """Tell something of each flow every 50 ms."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.gather(*(teller.tell() for teller in tellers))
        await asyncio.sleep(0.05)


@asynccontextmanager
async def client_over(rest: Rest, tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the functions over this gateway."""
    async with (
        api_over(rest) as api,
        httpx.AsyncClient(base_url=api.url, headers=api.auth(tenant), timeout=30) as http,
    ):
        yield http


@pytest.mark.timeout(60)
async def test_a_flow_is_seen_whole_whatever_becomes_of_its_subscription(gateway: Rest):
    print("seed", SEED)
    faults = Faults(subscriptions=judges(random.Random(SEED)))
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    tellers = [await begun(flows, name) for name in faults.subscriptions] * 2
    async with (
        faulty_gateway(gateway.url, faults) as url,
        client_over(Rest(url, TOKEN), flows.tenant) as http,
    ):
        began = time.monotonic()
        reading = [asyncio.create_task(read(http, teller.claim.flow)) for teller in tellers]
        await tell_all(tellers, 2)
        await asyncio.gather(*(teller.end() for teller in tellers))
        told = time.monotonic()
        seen = await asyncio.gather(*reading)
    late = {t.claim.flow: s.newest_at - told for t, s in zip(tellers, seen, strict=True)}
    print({name: f"the end {seconds:.1f} s late" for name, seconds in late.items()})
    for teller, what in zip(tellers, seen, strict=True):
        assert what.is_whole(teller), (teller.claim.flow, what.numbers)
        assert what.connections == 2  # the second is told that there is no more
    assert late["sound"] < 2
    assert max(late["missing"], late["cuts"]) < 5
    assert max(late.values()) < QUICK.silence + 5
    assert faults.per_second(began, told) < REQUESTS_PER_SECOND


@dataclass
class House:
    """A Valkey that loses nothing, a gateway and a faulty proxy in front of it."""

    processes: Processes
    folder: Path
    faults: Faults
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    gateway_pid: int = 0

    def start_valkey(self) -> None:
        port = self.ports[0]
        self.processes.start("dying-valkey", valkey.server_command(self.folder, port, durable=True))
        self.processes.wait_until("dying-valkey", lambda: valkey.is_ready(port))

    def start_gateway(self) -> None:
        environ = {**os.environ, rest_gateway.TOKEN_VARIABLE: TOKEN}
        command = rest_gateway.server_command(self.ports[1], self.ports[0])
        self.gateway_pid = self.processes.start("dying-gateway", command, environ=environ)
        self.processes.wait_until("dying-gateway", lambda: is_listening(self.ports[1]))

    @property
    def rest(self) -> Rest:
        return Rest(f"http://127.0.0.1:{self.ports[1]}", TOKEN)


@pytest.fixture
def house(processes: Processes, tmp_path: Path) -> Iterator[House]:
    house = House(processes, tmp_path, Faults())
    house.start_valkey()
    house.start_gateway()
    yield house
    processes.stop("dying-gateway", "dying-valkey")


def answers(status: int) -> tuple[Event, Event]:
    def begin(house: House) -> None:
        house.faults.status = status

    def end(house: House) -> None:
        house.faults.status = None

    return begin, end


def signals(begin: signal.Signals, end: signal.Signals) -> tuple[Event, Event]:
    def sends(number: signal.Signals) -> Event:
        return lambda house: os.kill(house.gateway_pid, number)

    return sends(begin), sends(end)


OUTAGES: dict[str, tuple[Event, Event]] = {
    "gateway answers 429": answers(429),
    "gateway answers 500": answers(500),
    "gateway killed": (lambda house: house.processes.kill("dying-gateway"), House.start_gateway),
    "gateway hangs": signals(signal.SIGSTOP, signal.SIGCONT),
    "Valkey killed": (lambda house: house.processes.kill("dying-valkey"), House.start_valkey),
}


@dataclass
class Polls:
    """What pollers got of the status and of the events as JSON."""

    statuses: list[int] = field(default_factory=list[int])
    slowest: float = 0.0

    async def poll(self, http: httpx.AsyncClient, flow: str) -> None:
        """Poll until cancelled, twice a second."""
        while True:
            for path in (f"/v1/flows/{flow}", f"/v1/flows/{flow}/events?after=0"):
                began = time.monotonic()
                self._check(await http.get(path))
                self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.2)

    def _check(self, answer: httpx.Response) -> None:
        self.statuses.append(answer.status_code)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert 0 < int(answer.headers["retry-after"]) <= 30
            assert answer.json()["type"] == "urn:crewline:problem:unavailable"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_streams_and_polls_come_through_an_outage(outage: str, house: House):
    begin, end = OUTAGES[outage]
    flows = over_redis(HttpRedis(house.rest.url, TOKEN), house.rest.url, TOKEN)
    tellers = [await begun(flows, f"f{i}") for i in range(3)]
    polls = Polls()
    async with (
        faulty_gateway(house.rest.url, house.faults) as url,
        client_over(Rest(url, TOKEN), flows.tenant) as http,
    ):
        reading = [asyncio.create_task(read(http, teller.claim.flow)) for teller in tellers]
        polling = asyncio.create_task(polls.poll(http, "f0"))
        await tell_all(tellers, 0.5)
        begin(house)
        began = time.monotonic()
        telling = asyncio.create_task(tell_all(tellers, OUTAGE_SECONDS + 0.5))
        await asyncio.sleep(0.2)  # and some come when nothing works
        reading += [asyncio.create_task(read(http, teller.claim.flow)) for teller in tellers]
        await asyncio.sleep(OUTAGE_SECONDS - 0.2)
        over = time.monotonic()
        await asyncio.to_thread(end, house)
        await telling
        await asyncio.gather(*(teller.end() for teller in tellers))
        told = time.monotonic()
        seen = await asyncio.gather(*reading)
        polling.cancel()
    rate = house.faults.per_second(began, over)
    late = max(what.newest_at for what in seen) - told
    print(f"{rate:.0f} requests/s, the end {late:.1f} s late, slowest poll {polls.slowest:.1f} s")
    for teller, what in zip(tellers * 2, seen, strict=True):
        assert what.is_whole(teller), (teller.claim.flow, what.numbers)
    assert polls.statuses[0] == polls.statuses[-1] == 200
    assert 503 in polls.statuses or outage == "gateway hangs"
    assert rate < REQUESTS_PER_SECOND
    assert late < 10


async def test_a_poll_of_a_store_that_hangs_is_told_so_while_its_client_still_waits(house: House):
    flows = over_redis(HttpRedis(house.rest.url, TOKEN), house.rest.url, TOKEN)
    await begun(flows, "f1")
    async with client_over(house.rest, flows.tenant) as http:
        os.kill(house.gateway_pid, signal.SIGSTOP)
        began = time.monotonic()
        answer = await http.get("/v1/flows/f1")
        took = time.monotonic() - began
        os.kill(house.gateway_pid, signal.SIGCONT)
    assert answer.status_code == 503
    assert took < 8
