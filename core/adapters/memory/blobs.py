"""Blobs in memory."""

import io
from typing import BinaryIO

from core.errors import NotFoundError


class MemoryBlobs:
    """BlobStore in memory."""

    def __init__(self) -> None:
        self._blobs: dict[tuple[str, str], bytes] = {}

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        del content_type
        self._blobs[tenant, blob] = data

    def open(self, tenant: str, blob: str) -> BinaryIO:
        if (tenant, blob) not in self._blobs:
            raise NotFoundError(f"no input {blob}")
        return io.BytesIO(self._blobs[tenant, blob])

    def size(self, tenant: str, blob: str) -> int:
        with self.open(tenant, blob) as stream:
            return len(stream.read())

    def delete(self, tenant: str, blob: str) -> None:
        self._blobs.pop((tenant, blob), None)

    def delete_all(self, tenant: str, prefix: str) -> None:
        for owner, blob in list(self._blobs):
            if owner == tenant and blob.startswith(prefix):
                self.delete(tenant, blob)

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        return f"memory:///{tenant}/{blob}?size={size}&ttl={ttl_seconds}"
