"""The keys of an OIDC issuer, over HTTP: one GET of a fixed address, beside the event loop.

Nothing is followed: an issuer that answers with a redirect is one whose setting is to be mended.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from urllib.parse import urlsplit

from core.errors import UnavailableError

TIMEOUT_SECONDS = 3.0  # for all of it
DOCUMENT_BYTES = 256 * 1024  # large issuers have some 20 keys with certificates, 50 kB
CHUNK_BYTES = 16 * 1024


class HttpJwks:
    """Fetches a JWKS document. Its thread is its own, and nobody waits for it longer than the limit."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._thread = ThreadPoolExecutor(1, "jwks")

    async def __call__(self) -> bytes:
        """Return the document. Raises UnavailableError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await loop.run_in_executor(self._thread, self._get)
        except TimeoutError as error:
            raise UnavailableError("the token issuer's keys take too long to come") from error

    def _get(self) -> bytes:
        from http.client import (  # noqa: PLC0415 -- only who has an issuer pays for it
            HTTPConnection,
            HTTPException,
            HTTPSConnection,
        )

        made = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = made(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        ends = time.monotonic() + TIMEOUT_SECONDS
        try:
            connection.request("GET", path, headers={"accept": "application/json"})
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise UnavailableError(f"the token issuer answered {answer.status} for its keys")
            document = bytearray()
            while chunk := answer.read1(CHUNK_BYTES):
                document += chunk
                if len(document) > DOCUMENT_BYTES or time.monotonic() > ends:
                    raise UnavailableError("the token issuer's keys are too long, or too slow")
            return bytes(document)
        except (OSError, HTTPException) as error:
            raise UnavailableError("the token issuer cannot be reached") from error
        finally:
            connection.close()
