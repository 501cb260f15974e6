"""Blobs: what is too large for Redis: a tenant's inputs, and large values of its flows."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, ParamSpec, Protocol, TypeVar
from weakref import WeakValueDictionary

from core.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

INPUT_ID = re.compile(r"in_[0-9a-f]{32}")
THREADS = 16
PUTS_AT_ONCE = 2  # of a tenant: while 3 MB are sent a thread wants the interpreter all the time
TOTAL_SECONDS = 10.0  # of a call, with the wait for a thread and all that is tried again
AWAY = "the object store does not answer"

_putting = WeakValueDictionary[str, asyncio.Semaphore]()


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Stands for a value that is kept as a blob: as JSON in UTF-8, of so many bytes."""

    blob: str
    bytes: int


@dataclass(frozen=True, slots=True)
class VersionedBlob:
    """The bytes of a blob, and its ETag: what tells them from those that it had before."""

    data: bytes
    etag: str


def flow_prefix(flow: str) -> str:
    """Return what the ids of a flow's own blobs begin with; no id of an input does."""
    return f"flows/{flow}/"


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of a BlobStore in a thread of a pool of its own.

    So a store that hangs takes no thread from compression or name resolution. Raises what the call
    does, and UnavailableError where it takes too long, or there is no thread for it.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await loop.run_in_executor(_threads(), lambda: call(*args, **kwargs))
    except TimeoutError as error:
        raise UnavailableError(AWAY) from error


def from_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `in_thread` for who is in no event loop, such as a tool."""
    called = _threads().submit(call, *args, **kwargs)
    try:
        return called.result(TOTAL_SECONDS)
    except TimeoutError as error:
        called.cancel()
        raise UnavailableError(AWAY) from error


async def put_in_turn(
    store: "BlobStore", tenant: str, blob: str, data: bytes, content_type: str
) -> None:
    """Store an upload when it is its turn: PUTS_AT_ONCE of a tenant are stored at the same time.

    Raises as `in_thread`.
    """
    try:
        async with asyncio.timeout(TOTAL_SECONDS), _turn(tenant):
            await in_thread(store.put, tenant, blob, data, content_type)
    except TimeoutError as error:
        raise UnavailableError("the object store takes no more of your uploads for now") from error


def _turn(tenant: str) -> asyncio.Semaphore:
    return _putting.setdefault(tenant, asyncio.Semaphore(PUTS_AT_ONCE))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "blobs")


class BlobStore(Protocol):
    """Port: objects by (tenant, id). Methods block, so call them by `in_thread` or `from_thread`.

    Raises NotFoundError for what is not there or is another tenant's, UnavailableError when the
    store does not answer.
    """

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        """Store `data`, replacing what was there."""
        ...

    def open(self, tenant: str, blob: str) -> BinaryIO:
        """Return a stream of the bytes, to be closed by the caller; it need not be seekable."""
        ...

    def read(
        self, tenant: str, blob: str, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        """Return all of a blob; None where it still is what has this `etag`.

        Raises TooLargeError, before it is read, for one of more than `most_bytes`.
        """
        ...

    def swap(self, tenant: str, blob: str, data: bytes, content_type: str, etag: str | None) -> str:
        """Store `data` where what is there still has this `etag`, None: where nothing is; return the new one.

        Raises ConflictError where somebody else was first.
        """
        ...

    def size(self, tenant: str, blob: str) -> int:
        """Return how many bytes it has."""
        ...

    def delete(self, tenant: str, blob: str) -> None:
        """Remove a blob; one that is not there is removed already."""
        ...

    def delete_all(self, tenant: str, prefix: str) -> None:
        """Remove all blobs of the tenant whose ids begin with `prefix`."""
        ...

    def names(self, tenant: str, prefix: str) -> list[str]:
        """Return the ids of all blobs of the tenant that begin with `prefix`."""
        ...

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        """Return a URL that takes one PUT of exactly `size` bytes within `ttl_seconds`."""
        ...
