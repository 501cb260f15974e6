"""Large values of flows: results, drafts and outputs over 32 kB are blobs, a reference in their place.

    flows/FLOW/INCARNATION/results/STEP/EPOCH    flows/.../drafts/REVIEW    flows/.../output

A blob is written before what refers to it, and named after whose it is: whoever writes it again
writes the same, and a worker that lost its step writes another than its successor. What nothing
refers to, since its writer was killed, goes with the flow or with the bucket's expiry rule.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core import cpu
from core.blobs import BlobRef, BlobStore, flow_prefix, in_thread
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows.state import Flow
from core.json_text import compact_bytes
from core.retries import RetryPolicy, deadline

INLINE_BYTES = 32 * 1024
LARGEST_BYTES = 64 * 1024**2
REMEMBERED_BYTES = 32 * 1024**2  # of one process
PATIENCE_SECONDS = 20.0  # with the store: what it refuses was paid for
JSON = "application/json"


class StoreAwayError(UnavailableError):
    """The object store does not answer."""


class LostValueError(NotFoundError):
    """A value is not in the object store any more: deleted, or past the bucket's expiry rule."""


def result_blob(flow: str, incarnation: str, step: str, epoch: int) -> str:
    """Return the id of the result of one claim of a step."""
    return f"{flow_prefix(flow)}{incarnation}/results/{step}/{epoch}"


def draft_blob(flow: str, incarnation: str, review: str) -> str:
    """Return the id of what a person is asked about in a review."""
    return f"{flow_prefix(flow)}{incarnation}/drafts/{review}"


def output_blob(flow: str, incarnation: str) -> str:
    """Return the id of a flow's output."""
    return f"{flow_prefix(flow)}{incarnation}/output"


class LargeValues:
    """Keeps large values in the object store, and remembers those that it used last.

    `blobs` is asked for at the first large value; without it every value stays where it is.
    """

    def __init__(
        self,
        blobs: Callable[[], BlobStore] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._blobs, self._patience_seconds = blobs, patience_seconds
        self._known: OrderedDict[tuple[str, str], tuple[int, Any]] = OrderedDict()
        self._known_bytes = 0

    async def keep(self, tenant: str, blob: str, value: Any) -> Any:
        """Return the value if it is small; else store it as this blob and return its BlobRef.

        Raises TooLargeError, StoreAwayError.
        """
        data = None if self._blobs is None else await cpu.run(tenant, _encoded, value)
        if self._blobs is None or data is None or len(data) <= INLINE_BYTES:
            return value
        if len(data) > LARGEST_BYTES:
            raise TooLargeError(f"it is {len(data):,} bytes; at most {LARGEST_BYTES:,}")
        store = self._blobs()
        await self._patiently(store.put, tenant, blob, data, JSON)
        ref = BlobRef(blob, len(data))
        self._remember(tenant, ref, await cpu.run(tenant, json.loads, data))  # as others will
        return ref

    async def load(self, tenant: str, value: Any) -> Any:
        """Return what a BlobRef stands for, any other value as it is.

        Raises LostValueError, StoreAwayError.
        """
        if not isinstance(value, BlobRef):
            return value
        if (tenant, value.blob) in self._known:
            self._known.move_to_end((tenant, value.blob))
            return self._known[tenant, value.blob][1]
        assert self._blobs is not None  # noqa: S101 -- or nothing would be kept there
        try:
            found = await self._patiently(_read, self._blobs(), tenant, value.blob)
        except NotFoundError as error:
            raise LostValueError("a result is not in the object store any more") from error
        self._remember(tenant, value, found)
        return found

    async def whole(self, tenant: str, flow: Flow) -> Flow:
        """Return the flow with each value in its place: results, draft and output.

        Costs nothing where all are small. Raises as `load`.
        """
        large = {name: ref for name, ref in flow.results.items() if isinstance(ref, BlobRef)}
        if large:
            found = await asyncio.gather(*(self.load(tenant, ref) for ref in large.values()))
            flow = replace(flow, results=flow.results | dict(zip(large, found, strict=True)))
        if (draft := draft_ref(flow)) is not None:
            waiting = (flow.waiting or {}) | {"output": await self.load(tenant, draft)}
            flow = replace(flow, waiting=waiting)
        if isinstance(flow.output, BlobRef):
            flow = replace(flow, output=await self.load(tenant, flow.output))
        return flow

    async def copied(self, tenant: str, old: Flow, flow: str, incarnation: str) -> dict[str, Any]:
        """Return the results of a flow for another one, whose blobs are its own."""
        whole = await self.whole(tenant, old)
        return {
            name: await self.keep(tenant, result_blob(flow, incarnation, name, 0), result)
            for name, result in whole.results.items()
        }

    async def _patiently(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with deadline(self._patience_seconds):
                return await RetryPolicy().run(lambda: in_thread(call, *arguments))
        except UnavailableError as error:
            raise StoreAwayError(str(error), error.retry_after_seconds) from error

    def _remember(self, tenant: str, ref: BlobRef, value: Any) -> None:
        if ref.bytes > REMEMBERED_BYTES or (tenant, ref.blob) in self._known:
            return
        self._known[tenant, ref.blob] = ref.bytes, value
        self._known_bytes += ref.bytes
        while self._known_bytes > REMEMBERED_BYTES:
            _, (size, _) = self._known.popitem(last=False)
            self._known_bytes -= size


INLINE = LargeValues()  # for where there is no object store: keeps all values as they are


def draft_ref(flow: Flow) -> BlobRef | None:
    """Return what stands for the draft of a flow that waits, if that is large."""
    asked = flow.question or {}
    if "output_ref" not in asked:
        return None
    blob = draft_blob(flow.id, flow.head.incarnation, asked["review"])
    return BlobRef(blob, asked["output_ref"]["bytes"])


def without_large(flow: Flow) -> Flow:
    """Return the flow with what is small of it: no large result, and nothing for a large output."""
    small = {n: r for n, r in flow.results.items() if not isinstance(r, BlobRef)}
    output = None if isinstance(flow.output, BlobRef) else flow.output
    return replace(flow, results=small, output=output)


def _read(blobs: BlobStore, tenant: str, blob: str) -> Any:
    """Return what a blob holds; in a thread, as megabytes take long to read, and to parse."""
    with blobs.open(tenant, blob) as stream:
        return json.loads(stream.read())


def _encoded(value: Any) -> bytes | None:
    """Return the value as JSON; None for what is none, of which the ledger says what is wrong."""
    try:
        return compact_bytes(value)
    except (TypeError, ValueError):
        return None
