"""Blobs in memory."""

import hashlib
import io
from typing import BinaryIO

from core.blobs import VersionedBlob
from core.errors import ConflictError, NotFoundError, TooLargeError


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

    def read(
        self, tenant: str, blob: str, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        with self.open(tenant, blob) as stream:
            data = stream.read()
        if _etag(data) == etag:
            return None
        if len(data) > most_bytes:
            raise TooLargeError(f"the object has over {most_bytes:,} bytes")
        return VersionedBlob(data, _etag(data))

    def swap(self, tenant: str, blob: str, data: bytes, content_type: str, etag: str | None) -> str:
        there = self._blobs.get((tenant, blob))
        if (None if there is None else _etag(there)) != etag:
            raise ConflictError("somebody else has changed it")
        self.put(tenant, blob, data, content_type)
        return _etag(data)

    def size(self, tenant: str, blob: str) -> int:
        with self.open(tenant, blob) as stream:
            return len(stream.read())

    def delete(self, tenant: str, blob: str) -> None:
        self._blobs.pop((tenant, blob), None)

    def delete_all(self, tenant: str, prefix: str) -> None:
        for blob in self.names(tenant, prefix):
            self.delete(tenant, blob)

    def names(self, tenant: str, prefix: str) -> list[str]:
        of_tenant = (blob for owner, blob in list(self._blobs) if owner == tenant)
        return [blob for blob in of_tenant if blob.startswith(prefix)]

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        return f"memory:///{tenant}/{blob}?size={size}&ttl={ttl_seconds}"


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
