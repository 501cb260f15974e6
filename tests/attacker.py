"""One tenant's clients at their worst, and requests that they send again and again."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

AT_ONCE = 8
BRIEF = {"question": "Will it rain?", "notes": "It rains."}
JSON = {"content-type": "application/json"}
DEEP = b"[" * 500_000 + b"]" * 500_000
MEGABYTE = b"x" * 1024**2


class Attacker:
    """One tenant's clients: what they were answered, and until when they go on."""

    def __init__(self, url: str, token: str, seconds: float) -> None:
        self.url, self.bearer = url, {"authorization": f"Bearer {token}"}
        self.until = time.monotonic() + seconds
        self.answers = Counter[str]()

    def client(self, **options: Any) -> httpx.AsyncClient:
        # The certificate is the test's own; the one who checks it is the tenant that polls.
        return httpx.AsyncClient(
            base_url=self.url, headers=self.bearer, verify=unchecked(), timeout=60, **options
        )

    async def again(self, send: Callable[[httpx.AsyncClient, int], Any], at_once: int) -> None:
        """Send one request after the other over each of so many connections."""

        async def one(start: int) -> None:
            async with self.client() as http:
                number = start
                while time.monotonic() < self.until:
                    self.note(await self.tried(send, http, number))
                    number += at_once

        await asyncio.gather(*(one(start) for start in range(at_once)))

    async def tried(self, send: Any, http: httpx.AsyncClient, number: int) -> str:
        try:
            answer = await send(http, number)
        except (httpx.HTTPError, OSError) as error:
            return type(error).__name__
        return str(answer.status_code)

    def note(self, status: str) -> None:
        self.answers[status] += 1

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=unchecked())


def unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no list of authorities to be read each time
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def posting(path: str, body: bytes, **headers: str) -> Any:
    async def attack(attacker: Attacker) -> None:
        async def send(http: httpx.AsyncClient, _: int) -> httpx.Response:
            return await http.post(path, content=body, headers=JSON | headers)

        await attacker.again(send, AT_ONCE)

    return attack


def getting(path: str, **headers: str) -> Any:
    async def attack(attacker: Attacker) -> None:
        async def send(http: httpx.AsyncClient, _: int) -> httpx.Response:
            return await http.get(path, headers=headers)

        await attacker.again(send, AT_ONCE)

    return attack


def launching(crew: str, inputs: str) -> Any:
    return posting("/v1/flows", f'{{"crew":"{crew}","inputs":{inputs}}}'.encode())


def remaining(attacker: Attacker) -> float:
    return attacker.until - time.monotonic()
