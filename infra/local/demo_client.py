"""The demonstration's way to the API: upload, launch, follow across reconnects."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from httpx_sse import connect_sse

INLINE_BYTES = 4 * 1024**2
FINAL = ("RUN_FINISHED", "RUN_ERROR")
RETRY_SECONDS = 1.0


class DemoClient:
    """A few calls; `check` raises where a child of this run has died, so that no wait is endless."""

    def __init__(self, http: httpx.Client, check: Callable[[], None]) -> None:
        self._http, self._check = http, check

    def upload(self, data: bytes) -> str:
        """Store an input, a large one by a URL of its own; return its id."""
        if len(data) <= INLINE_BYTES:
            return self._json("POST", "/v1/inputs", content=data)["id"]
        created = self._json("POST", "/v1/inputs", params={"size": len(data)})
        httpx.put(created["upload"]["url"], content=data, timeout=60).raise_for_status()
        return created["id"]

    def launch(self, crew: str, inputs: dict[str, Any]) -> str:
        """Launch a crew; return the flow's id."""
        return self._json("POST", "/v1/flows", json={"crew": crew, "inputs": inputs})["id"]

    def state(self, flow: str) -> dict[str, Any]:
        """Return the snapshot."""
        return self._json("GET", f"/v1/flows/{flow}")

    def follow(self, flow: str) -> Iterator[dict[str, Any]]:
        """Yield every event once until the flow ends, whatever happens to the connection."""
        cursor = ""
        while True:
            try:
                for event in self._stream(flow, cursor):
                    cursor, told = event.id, json.loads(event.data)
                    yield told
                    if told["type"] in FINAL:
                        return
            except httpx.TransportError:
                pass
            self._check()
            time.sleep(RETRY_SECONDS)

    def _stream(self, flow: str, cursor: str) -> Iterator[Any]:
        headers = {"last-event-id": cursor} if cursor else {}
        path = f"/v1/flows/{flow}/events"
        with connect_sse(self._http, "GET", path, headers=headers, timeout=30) as source:
            yield from (event for event in source.iter_sse() if event.data)

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, timeout=30, **request)
        answer.raise_for_status()
        return answer.json()
