"""A browser's connection to the API over HTTP/1.1, every byte of it counted, both ways.

The headers are those that Chromium 156 sends with a page's own `fetch`, as recorded from one.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

CHROMIUM = {
    "Connection": "keep-alive",
    "sec-ch-ua-platform": '"Linux"',
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/156.0.0.0 Safari/537.36",
    "sec-ch-ua": '"Not:A-Brand";v="8", "Chromium";v="156"',
    "sec-ch-ua-mobile": "?0",
    "Accept": "*/*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Referer": "{origin}/",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
}
CONDITIONAL = {"Cache-Control": "max-age=0"}  # what it adds where a page sets If-None-Match


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `headers` by their names in small letters, `body` as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Browser:
    """One connection at a time, kept alive; a context manager."""

    def __init__(self, port: int, authorization: str) -> None:
        self._address = "127.0.0.1", port
        origin = f"http://127.0.0.1:{port}"
        always = {name: value.format(origin=origin) for name, value in CHROMIUM.items()}
        self._headers = {"Host": origin[7:], "Authorization": authorization, **always}
        self.sent = self.received = 0  # bytes

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a request with these headers beside the usual ones."""
        status, fields = await self._asked(path, headers)
        chunked = fields.get("transfer-encoding") == "chunked"
        chunks = [chunk async for chunk in self._chunks()] if chunked else []
        whole = await self._read(int(fields.get("content-length", "0")))
        return Answer(status, fields, b"".join(chunks) + whole)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """Give what comes, as it comes."""
        status, _ = await self._asked(path, headers)
        assert status == 200, status  # noqa: S101, PLR2004 -- or nothing below means anything
        yield self._chunks()

    async def _asked(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        lines = {**self._headers, **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        request = f"GET {path} HTTP/1.1\r\n{text}\r\n".encode()
        self._writer.write(request)
        self.sent += len(request)
        first, *rest = (await self._until(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (r.partition(":") for r in rest)
        }
        return int(first.split()[1]), fields

    async def _chunks(self) -> AsyncGenerator[bytes]:
        while size := int(await self._until(b"\r\n"), 16):
            yield await self._read(size)
            await self._until(b"\r\n")
        await self._until(b"\r\n")

    async def _until(self, end: bytes) -> bytes:
        data = await self._reader.readuntil(end)
        self.received += len(data)
        return data

    async def _read(self, size: int) -> bytes:
        self.received += size
        return await self._reader.readexactly(size)
