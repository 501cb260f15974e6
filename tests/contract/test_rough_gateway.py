"""The gateway where it lags and refuses, and what our client makes of that."""

import asyncio
import time

import httpx
import pytest
import upstash_redis

from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.errors import TooLargeError, UnavailableError
from infra.local.gateway.refusals import REFUSALS

LAG_MS = 150


@pytest.fixture
def http(rough_gateway):
    headers = {"authorization": f"Bearer {rough_gateway.token}"}
    with httpx.Client(base_url=rough_gateway.url, headers=headers) as client:
        yield client


def test_without_a_token_a_read_is_as_old_as_the_lag(rough_gateway, http, key):
    http.post("/", json=["SET", key, "old"])
    time.sleep(0.1)
    rough_gateway.adjust(lag_ms=LAG_MS)
    http.post("/", json=["SET", key, "new"])
    assert http.post("/", json=["GET", key]).json() == {"result": "old"}
    time.sleep(LAG_MS / 1000 + 0.05)
    assert http.post("/", json=["GET", key]).json() == {"result": "new"}


def test_with_the_token_of_a_write_a_read_waits_until_it_sees_it(rough_gateway, http, key):
    rough_gateway.adjust(lag_ms=LAG_MS)
    written = http.post("/", json=["SET", key, "new"])
    token = {"upstash-sync-token": written.headers["upstash-sync-token"]}
    assert http.post("/", json=["GET", key], headers=token).json() == {"result": "new"}


def test_a_script_sees_the_newest_as_it_runs_where_writes_do(rough_gateway, http, key):
    rough_gateway.adjust(lag_ms=LAG_MS)
    http.post("/", json=["SET", key, "new"])
    script = ["EVAL", "return redis.call('GET', KEYS[1])", 1, key]
    assert http.post("/", json=script).json() == {"result": "new"}


async def test_messages_arrive_before_what_they_tell_of(rough_gateway, key):
    writer = HttpRedis(rough_gateway.url, rough_gateway.token)
    reader = HttpRedis(rough_gateway.url, rough_gateway.token)
    rough_gateway.adjust(lag_ms=LAG_MS)
    async with HttpPubSub(rough_gateway.url, rough_gateway.token).subscribe(key) as messages:
        await writer.pipeline([["HSET", key, "a", 1], ["PUBLISH", key, "written"]])
        assert await anext(messages) == "written"
        assert await reader.execute(["HMGET", key, "a"]) == [None]


async def test_our_client_and_upstashs_read_what_they_wrote(rough_gateway, key):
    rough_gateway.adjust(lag_ms=LAG_MS)
    ours = HttpRedis(rough_gateway.url, rough_gateway.token)
    theirs = upstash_redis.Redis(rough_gateway.url, rough_gateway.token)
    for n in range(3):
        await ours.execute(["HSET", key, "n", n])
        assert await ours.execute(["HMGET", key, "n"]) == [str(n)]
        await asyncio.to_thread(theirs.hset, key, "m", str(n))
        assert await asyncio.to_thread(theirs.hget, key, "m") == str(n)


async def test_a_read_that_overlaps_a_write_does_not_make_our_client_forget_it(rough_gateway, key):
    rough_gateway.adjust(lag_ms=LAG_MS)
    ours = HttpRedis(rough_gateway.url, rough_gateway.token)
    reads = [asyncio.create_task(ours.execute(["HMGET", "nothing", "n"])) for _ in range(8)]
    await ours.execute(["HSET", key, "n", 1])
    await asyncio.gather(*reads)
    assert await ours.execute(["HMGET", key, "n"]) == ["1"]


async def test_our_client_never_reads_an_older_state_than_before(rough_gateway, key):
    rough_gateway.adjust(lag_ms=LAG_MS)
    ours = HttpRedis(rough_gateway.url, rough_gateway.token)
    writer = HttpRedis(rough_gateway.url, rough_gateway.token)
    seen = list[int]()
    for n in range(10):
        await writer.execute(["HSET", key, "n", n])
        await ours.execute(["ECHO", "a write, as far as anyone knows"])
        [found] = await ours.execute(["HMGET", key, "n"])
        seen.append(int(found))
    assert seen == sorted(seen)


@pytest.mark.parametrize("name", REFUSALS)
async def test_every_refusal_reaches_the_core_as_unavailable_or_too_large(rough_gateway, name: str):
    client = HttpRedis(rough_gateway.url, rough_gateway.token)
    rough_gateway.adjust(refuse=name)
    error = TooLargeError if name.endswith("-size") else UnavailableError
    with pytest.raises(error):
        await client.execute(["HSET", "k", "f", "v"])
    with pytest.raises(error):
        await client.pipeline([["HSET", "k", "f", "v"], ["PING"]])


async def test_a_full_store_still_serves_reads(rough_gateway):
    rough_gateway.adjust(refuse="capacity")
    client = HttpRedis(rough_gateway.url, rough_gateway.token)
    assert await client.execute(["HMGET", "nothing", "f"]) == [None]


async def test_one_subscription_too_many_is_unavailable_and_the_others_go_on(rough_gateway, key):
    pubsub = HttpPubSub(rough_gateway.url, rough_gateway.token)
    rough_gateway.adjust(streams=1)
    async with pubsub.subscribe(key) as messages:
        with pytest.raises(UnavailableError):
            async with pubsub.subscribe(key):
                pass
        await HttpRedis(rough_gateway.url, rough_gateway.token).execute(["PUBLISH", key, "on"])
        assert await anext(messages) == "on"


async def test_a_request_over_the_limit_is_too_large_for_good(rough_gateway):
    rough_gateway.adjust(request_bytes=2000)
    client = HttpRedis(rough_gateway.url, rough_gateway.token)
    with pytest.raises(TooLargeError):
        await client.execute(["HSET", "k", "f", "v" * 3000])


def test_what_is_no_condition_is_refused(http):
    assert http.post("/-/conditions", json={"refuse": "nonsense"}).status_code == 400
    assert http.post("/-/conditions", json={"lag": 3}).status_code == 400
    assert http.post("/-/conditions", json={}).json()["lag_ms"] == 0


async def test_a_gateway_that_was_not_asked_for_it_cannot_be_adjusted(gateway):
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {gateway.token}"}) as http:
        answer = await http.post(f"{gateway.url}/-/conditions", json={"refuse": "busy"})
        assert answer.status_code == 400
        assert (await http.post(gateway.url, json=["PING"])).json() == {"result": "PONG"}
