"""Blobs: what is too large for Redis. A tenant's inputs today, results and models later."""

import re
from typing import BinaryIO, Protocol

INPUT_ID = re.compile(r"in_[0-9a-f]{32}")


class BlobStore(Protocol):
    """Port: objects by (tenant, id). Methods block: call them in a thread.

    Raises NotFoundError for what is not there or is another tenant's, UnavailableError when the
    store does not answer.
    """

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        """Store `data`, replacing what was there."""
        ...

    def open(self, tenant: str, blob: str) -> BinaryIO:
        """Return a stream of the bytes, to be closed by the caller; it need not be seekable."""
        ...

    def size(self, tenant: str, blob: str) -> int:
        """Return how many bytes it has."""
        ...

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        """Return a URL that takes one PUT of exactly `size` bytes within `ttl_seconds`."""
        ...
