"""Wake over QStash: it posts to the worker's address, signed, and again if that fails."""

import asyncio
import json
import urllib.error
import urllib.request

from core.errors import UnavailableError

RETRIES = 3  # of a delivery; after them the sweep sends another message
TIMEOUT_SECONDS = 5.0


class QStashWake:
    """Publishes to one worker, `POST /v1/worker` of functions.crew_worker."""

    def __init__(self, url: str, token: str, worker_url: str) -> None:
        self._url = f"{url.rstrip('/')}/v2/publish/{worker_url}"
        self._headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "upstash-retries": str(RETRIES),
        }

    async def wake(self, tenant: str, flow: str) -> None:
        """Publish a message. Raises UnavailableError; one that was sent after all does no harm."""
        body = json.dumps({"tenant": tenant, "flow": flow}).encode()
        await asyncio.to_thread(self._publish, body)

    def _publish(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 -- the address is the deployment's
            self._url, body, self._headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 -- likewise
                return
        except urllib.error.HTTPError as error:
            raise UnavailableError(f"QStash answers {error.code}") from error
        except OSError as error:
            raise UnavailableError("QStash does not answer") from error
