"""Subscriptions at the local gateway: each an answer without an end."""

import asyncio
import os
import signal
import socket
import time

import httpx

from infra.local.processes import Processes, free_port
from tests.fixtures_gateway import answer, subscribed
from tests.fixtures_servers import start_gateway, start_valkey


async def test_a_subscriber_gets_the_acknowledgement_and_then_the_messages(http, key):
    async with subscribed(http, f"/subscribe/{key}", "POST") as lines:
        assert await anext(lines) == f"data: subscribe,{key},1"
        await answer(http, "PUBLISH", key, '{"n": 1, "city": "Zürich"}')
        await answer(http, "PUBLISH", key, "two\nlines")
        assert await anext(lines) == f'data: message,{key},{{"n": 1, "city": "Zürich"}}'
        assert [await anext(lines), await anext(lines)] == [
            f"data: message,{key},two",
            "data: lines",
        ]


async def test_every_subscriber_gets_every_message(http, key):
    async def first_message(ready):
        async with subscribed(http, f"/subscribe/{key}") as lines:
            await anext(lines)
            ready.release()
            return await anext(lines)

    ready = asyncio.Semaphore(0)
    waiting = [asyncio.create_task(first_message(ready)) for _ in range(5)]
    for _ in waiting:
        await ready.acquire()
    assert await answer(http, "PUBLISH", key, "to all") == {"result": 5}
    assert set(await asyncio.gather(*waiting)) == {f"data: message,{key},to all"}


async def test_a_subscriber_that_leaves_is_unsubscribed(http, key):
    async with subscribed(http, f"/subscribe/{key}") as lines:
        await anext(lines)
    deadline = time.monotonic() + 5
    while (await answer(http, "PUBLISH", key, "nobody"))["result"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_pattern_names_the_channel_of_each_message(http, key):
    async with subscribed(http, f"/psubscribe/{key}:*") as lines:
        assert await anext(lines) == f"data: psubscribe,{key}:*,1"
        await answer(http, "PUBLISH", f"{key}:a", "hello")
        assert await anext(lines) == f"data: pmessage,{key}:*,{key}:a,hello"


async def test_monitor_shows_the_commands_of_others(http, key):
    async with subscribed(http, "/monitor", "POST") as lines:
        assert await anext(lines) == 'data: "OK"'
        await answer(http, "GET", key)
        seen = await anext(lines)
        while f'"GET" "{key}"' not in seen:
            seen = await anext(lines)


async def test_a_subscription_without_a_channel_is_400(http):
    assert (await http.get("/subscribe")).status_code == 400


async def test_the_gateway_recovers_when_the_server_was_killed_and_started_again(tmp_path):
    port = free_port()
    with Processes(tmp_path) as processes:
        redis = start_valkey(processes, tmp_path / "valkey", port)
        rest = start_gateway(processes, redis)
        headers = {"Authorization": f"Bearer {rest.token}"}
        async with httpx.AsyncClient(base_url=rest.url, headers=headers) as http:
            assert await answer(http, "SET", "kept", "1") == {"result": "OK"}
            async with subscribed(http, "/subscribe/c") as lines:
                await anext(lines)
                os.kill(server_pid(redis), signal.SIGKILL)
                assert [line async for line in lines] == []
            gone = await http.post("/", json=["GET", "kept"])
            assert gone.status_code == 503
            assert gone.json()["error"].startswith("ERR the Redis server is not reachable")
            assert (await http.get("/subscribe/c")).status_code == 503
            start_valkey(processes, tmp_path / "valkey", port)
            assert await answer(http, "GET", "kept") == {"result": "1"}


async def test_a_gateway_with_subscribers_stops_at_once_and_ends_their_streams(valkey, tmp_path):
    with Processes(tmp_path) as processes:
        rest = start_gateway(processes, valkey)
        headers = {"Authorization": f"Bearer {rest.token}"}
        async with (
            httpx.AsyncClient(base_url=rest.url, headers=headers) as http,
            subscribed(http, "/subscribe/c") as lines,
        ):
            await anext(lines)
            began = time.monotonic()
            await asyncio.to_thread(processes.stop)
            assert time.monotonic() - began < 1
            assert [line async for line in lines] == []
        [log] = (tmp_path / "logs").iterdir()
        assert log.read_text() == ""


def server_pid(redis):
    with socket.create_connection(redis) as connection:
        connection.sendall(b"INFO server\r\n")
        info = connection.recv(65_536).decode()
    return int(info.split("process_id:")[1].split()[0])
