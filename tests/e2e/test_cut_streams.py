"""A reader whose connection is cut again and again sees every event once, in order."""

import asyncio
import contextlib
import random

import httpx
import httpx_sse

from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from tests.cutting_proxy import CuttingProxy, cutting
from tests.fixtures_ports import Flows, a_launch, over_redis

CUTS, EVENTS, SEED = 50, 400, 7


async def written(flows: Flows) -> None:
    """A flow that tells EVENTS things in some seconds, and ends."""
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w", lease_ms=60_000, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    for seq in range(1, EVENTS + 1):
        told = events.custom("count", {"seq": seq, "text": "ünicode\n" * (seq % 7)})
        await flows.ledger.emit(claim, seq, 60_000, StepWrite(told))
        await asyncio.sleep(0.01)
    await flows.ledger.transition(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )


async def read(url: str, headers: dict[str, str]) -> tuple[list[str], list[dict], int]:
    """Read until 204 as an EventSource would; return ids, events and how often it was cut."""
    ids: list[str] = []
    told: list[dict] = []
    cuts = 0
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
        while True:
            cursor = {"last-event-id": ids[-1]} if ids else {}
            with contextlib.suppress(httpx.TransportError):
                async with http.stream("GET", "/v1/flows/f1/events", headers=cursor) as answer:
                    if answer.status_code == 204:
                        return ids, told, cuts
                    async for event in httpx_sse.EventSource(answer).aiter_sse():
                        ids.append(event.id)
                        told.append(event.json())
            cuts += 1


async def test_fifty_cuts_lose_nothing_and_repeat_nothing(api, gateway):
    print("seed", SEED)
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    writing = asyncio.create_task(written(flows))
    proxy = CuttingProxy(api.url, CUTS, 2000, random.Random(SEED))
    async with cutting(proxy) as url:
        ids, told, cuts = await read(url, api.auth(flows.tenant))
    await writing
    assert cuts >= CUTS
    assert [int(event_id.split(".")[1]) for event_id in ids] == list(range(1, EVENTS + 7))
    assert [e["value"]["seq"] for e in told if e["type"] == "CUSTOM"] == list(range(1, EVENTS + 1))
    assert told[-1]["type"] == "RUN_FINISHED"
