"""Segments: feedback that has left Redis, in objects of a bounded size, each written once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.learning.feedback import Entry, entries_of, lines
from core.learning.models.model_store import SEGMENT_BYTES, ModelStore, UntrustedError
from core.learning.models.pointer import Segment


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one task."""

    store: ModelStore
    tenant: str
    task: str

    async def write(self, entries: Sequence[Entry], generation: int) -> list[Segment]:
        """Store entries; return what the pointer is to name."""
        return [
            await self.store.save_segment(
                self.tenant, self.task, lines(part),
                generation=generation, first=part[0].number, last=part[-1].number,
            )
            for part in _parts(entries)
        ]  # fmt: skip

    async def read(self, segments: Sequence[Segment]) -> list[Entry]:
        """Return what segments hold. Raises UntrustedError, NotFoundError."""
        found = list[Entry]()
        for segment in segments:
            data = await self.store.segment(self.tenant, self.task, segment)
            try:
                found += await asyncio.to_thread(list, entries_of(data))
            except ValueError as error:
                raise UntrustedError(f"segment {segment.name} is damaged") from error
        return found


def _parts(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Cut entries where a segment is full."""
    cuts, size = [0], 0
    for at, one in enumerate(entries):
        size += len(one.feedback.to_json()) * 2 if one.feedback else 0  # as bytes, about
        if size > SEGMENT_BYTES and at > cuts[-1]:
            cuts.append(at)
            size = 0
    return [entries[start:end] for start, end in pairwise([*cuts, len(entries)])] if entries else []
