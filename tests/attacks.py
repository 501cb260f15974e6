"""What one tenant may send at its worst, each kind for a while, from a process of its own.

    python -m tests.attacks URL TOKEN SECONDS KIND

Prints that it has begun, and as JSON how many of which status came back.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import h2.connection
import httpx

from tests.attacker import (
    AT_ONCE,
    BRIEF,
    DEEP,
    JSON,
    MEGABYTE,
    Attacker,
    getting,
    launching,
    posting,
    unchecked,
)
from tests.attacks_held import polls, streams, waking
from tests.e2e import test_error_costs, test_launch_costs


async def endless_body(attacker: Attacker) -> None:
    """50 MB without a length, to a route that takes 256 kB."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield MEGABYTE

    async def send(http: httpx.AsyncClient, _: int) -> httpx.Response:
        return await http.post("/v1/flows", content=chunks(), headers=JSON)

    await attacker.again(send, AT_ONCE)


async def uploads(attacker: Attacker) -> None:
    async def send(http: httpx.AsyncClient, _: int) -> httpx.Response:
        return await http.post("/v1/inputs", content=MEGABYTE * 3)

    await attacker.again(send, AT_ONCE)


async def forged_tokens(attacker: Attacker) -> None:
    async def send(http: httpx.AsyncClient, number: int) -> httpx.Response:
        token = attacker.bearer["authorization"] + "x" * (number % 4000)
        return await http.get("/v1/flows", headers={"authorization": token})

    await attacker.again(send, AT_ONCE)


async def different_launches(attacker: Attacker) -> None:
    async def send(http: httpx.AsyncClient, number: int) -> httpx.Response:
        asked = {
            "crew": "research_brief",
            "inputs": {"question": f"t{number}", "notes": "n" * 9_000},
        }
        return await http.post("/v1/flows", json=asked)

    await attacker.again(send, AT_ONCE)


async def dripping(attacker: Attacker) -> None:
    """100 requests whose bodies never end, a byte a second."""
    await asyncio.gather(*(drip(attacker, body=True) for _ in range(100)))


async def dripping_heads(attacker: Attacker) -> None:
    await asyncio.gather(*(drip(attacker, body=False) for _ in range(100)))


async def drip(attacker: Attacker, *, body: bool) -> None:
    try:
        _, writer = await attacker.connect()
        token = attacker.bearer["authorization"]
        head = f"POST /v1/flows HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n"
        rest = "content-type: application/json\r\ncontent-length: 5000\r\n\r\n{" if body else ""
        writer.write((head + rest).encode())
        attacker.note("dripping")
        while time.monotonic() < attacker.until:
            writer.write(b" " if body else b"a: b\r\n")
            await writer.drain()
            await asyncio.sleep(1)
        writer.close()
    except OSError as error:
        attacker.note(type(error).__name__)


async def huge_heads(attacker: Attacker) -> None:
    """A head without an end, over and over."""

    async def one() -> None:
        while time.monotonic() < attacker.until:
            _, writer = await attacker.connect()
            writer.write(b"GET /v1/flows HTTP/1.1\r\nhost: x\r\nx-a: ")
            try:
                for _ in range(60):
                    writer.write(MEGABYTE)
                    await writer.drain()
                attacker.note("taken")
            except OSError as error:
                attacker.note(type(error).__name__)
            writer.close()

    await asyncio.gather(*(one() for _ in range(4)))


async def handshakes(attacker: Attacker) -> None:
    """TLS handshakes, and what is none."""

    async def one(number: int) -> None:
        parts = urlsplit(attacker.url)
        while time.monotonic() < attacker.until:
            if number % 2:
                _, writer = await attacker.connect()
            else:
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
            writer.close()
            attacker.note("connected")

    await asyncio.gather(*(one(number) for number in range(4)))


async def resets(attacker: Attacker) -> None:
    """HTTP/2 requests that are taken back at once, over one connection after the other."""
    await taking_back(attacker, lambda _: attacker.bearer["authorization"])


async def forged_resets(attacker: Attacker) -> None:
    """The same, each with a token of its own."""
    await taking_back(attacker, lambda number: f"Bearer {number}")


async def taking_back(attacker: Attacker, token: Callable[[int], str]) -> None:
    parts = urlsplit(attacker.url)
    context = unchecked()
    context.set_alpn_protocols(["h2"])
    while time.monotonic() < attacker.until:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        attacker.note("connected")
        reading = asyncio.create_task(reader.read())  # it ends when the server has had enough
        try:
            await reset_all(attacker, writer, reading, token)
        except OSError as error:
            attacker.note(type(error).__name__)
        reading.cancel()
        writer.close()


async def reset_all(
    attacker: Attacker,
    writer: asyncio.StreamWriter,
    reading: asyncio.Task[bytes],
    token: Callable[[int], str],
) -> None:
    http = h2.connection.H2Connection()
    http.initiate_connection()
    names = {":method": "GET", ":path": "/v1/flows", ":scheme": "https", ":authority": "localhost"}
    for number in range(1, 2000, 2):
        headers = [*names.items(), ("authorization", token(number))]
        http.send_headers(number, headers, end_stream=True)
        http.reset_stream(number)
        writer.write(http.data_to_send())
        await writer.drain()
        attacker.note("reset")
        if reading.done() or time.monotonic() > attacker.until:
            return


async def different_patterns(attacker: Attacker) -> None:
    """Launches that pay for as many patterns as there may be, which nobody has compiled before."""

    async def send(http: httpx.AsyncClient, number: int) -> httpx.Response:
        fields = {f"f{n}": {"pattern": f"{number}{n}" + r"\pL" * 4} for n in range(60)}
        asked = {"file": "in_1", "target": {"properties": fields}}
        return await http.post("/v1/flows", json={"crew": "import_mapping", "inputs": asked})

    await attacker.again(send, AT_ONCE)


def agui_runs(messages: int) -> Any:
    async def attack(attacker: Attacker) -> None:
        said = [{"id": f"m{n}", "role": "user", "content": "x"} for n in range(messages)]
        rest = {"tools": [], "context": [], "state": {}, "forwardedProps": {"inputs": BRIEF}}

        async def send(http: httpx.AsyncClient, number: int) -> Any:
            body = {"threadId": "t", "runId": f"r{number}", "messages": said, **rest}
            path = "/v1/agui/research_brief"
            async with http.stream("POST", path, json=body) as answer:
                async for _ in answer.aiter_raw():
                    return answer
            return answer

        await attacker.again(send, AT_ONCE)

    return attack


WEBHOOKS = {"inputs": BRIEF, "crewWebhookUrl": "https://slow.example/hook"}
MANY_FLOWS = ",".join(f"fl_{number:032x}" for number in range(19))
KINDS: dict[str, Callable[[Attacker], Coroutine[Any, Any, None]]] = {
    **{
        f"wrong: {name}": posting(path.replace("haiku", "research_brief"), body)
        for name, (_, path, body) in test_error_costs.WORST.items()
        if "lists" not in path and b'"lists"' not in body
    },
    **{
        f"launch: {name}": launching(crew, inputs)
        for name, (crew, inputs) in test_launch_costs.WORST.items()
        if crew != "shapes"
    },
    "patterns that backtrack": launching(
        "import_mapping", '{"file":"in_1","target":{"properties":{"a":{"pattern":"^(a+)+$"}}}}'
    ),
    "different patterns": different_patterns,
    "a megabyte of brackets": posting("/v1/agui/research_brief", DEEP),
    "an endless body": endless_body,
    "uploads of 3 MB": uploads,
    "bodies that drip": dripping,
    "heads that drip": dripping_heads,
    "heads of 60 MB": huge_heads,
    "handshakes": handshakes,
    "requests taken back": resets,
    "forged requests taken back": forged_resets,
    "forged tokens": forged_tokens,
    "launches": different_launches,
    "launches under one key": posting(
        "/v1/flows",
        json.dumps({"crew": "research_brief", "inputs": BRIEF}).encode(),
        **{"idempotency-key": "k"},
    ),
    "kickoffs with webhooks": posting("/amp/research_brief/kickoff", json.dumps(WEBHOOKS).encode()),
    "runs of long conversations": agui_runs(10_000),
    "short runs": agui_runs(1),
    "all crews, compressed": getting("/v1/crews", **{"accept-encoding": "br"}),
    "lists of flows": getting("/v1/flows?limit=100"),
    "streams": streams("/v1/flows/{}/events".format, 300),
    "streams of many flows": streams(lambda flow: f"/v1/events?flows={MANY_FLOWS},{flow}", 100),
    "held polls": polls(300, wait=25),
    "held polls that time out together": polls(100, wait=1),
    "held polls that wake together": waking,
    "polls": getting("/v1/flows/fl_0"),
    "long queries": getting("/v1/flows?" + "&".join(f"a{n}=1" for n in range(1500))),
    "longer queries": getting("/v1/flows?ticket=" + "&%41" * 15_000),
}


async def main(url: str, token: str, seconds: str, kind: str) -> None:
    """Attack for so many seconds."""
    print("begun", flush=True)
    attacker = Attacker(url, token, float(seconds))
    try:
        async with asyncio.timeout(float(seconds) + 0.5):
            await KINDS[kind](attacker)
    except (TimeoutError, socket.gaierror):
        pass
    print(json.dumps(attacker.answers))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
