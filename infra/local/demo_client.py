"""The demonstration's way to the API: upload, launch, follow across reconnects."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

INLINE_BYTES = 4 * 1024**2
FINAL = ("RUN_FINISHED", "RUN_ERROR")
RETRY_SECONDS = 1.0


class DemoClient:
    """A few calls over a client that knows the address and brings the token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def upload(self, data: bytes) -> str:
        """Store an input, a large one by a URL of its own; return its id."""
        if len(data) <= INLINE_BYTES:
            return (await self._json("POST", "/v1/inputs", content=data))["id"]
        created = await self._json("POST", "/v1/inputs", params={"size": len(data)})
        async with httpx.AsyncClient(timeout=60) as http:
            (await http.put(created["upload"]["url"], content=data)).raise_for_status()
        return created["id"]

    async def launch(self, crew: str, inputs: dict[str, Any]) -> str:
        """Launch a crew; return the flow's id."""
        return (await self._json("POST", "/v1/flows", json={"crew": crew, "inputs": inputs}))["id"]

    async def state(self, flow: str) -> dict[str, Any]:
        """Return the snapshot."""
        return await self._json("GET", f"/v1/flows/{flow}")

    async def follow(self, flow: str) -> AsyncGenerator[dict[str, Any]]:
        """Yield every event once until the flow ends, whatever happens to the connection."""
        cursor = ""
        while True:
            with contextlib.suppress(httpx.TransportError):
                async for event in self._stream(flow, cursor):
                    cursor, told = event.id, json.loads(event.data)
                    yield told
                    if told["type"] in FINAL:
                        return
            await asyncio.sleep(RETRY_SECONDS)

    async def _stream(self, flow: str, cursor: str) -> AsyncGenerator[ServerSentEvent]:
        headers = {"last-event-id": cursor} if cursor else {}
        path = f"/v1/flows/{flow}/events"
        async with aconnect_sse(self._http, "GET", path, headers=headers) as source:
            async for event in source.aiter_sse():
                if event.data:
                    yield event

    async def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = await self._http.request(method, path, **request)
        answer.raise_for_status()
        return answer.json()
