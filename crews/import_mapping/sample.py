"""The part of an uploaded file that is read: all of a small one, the beginning of a large one.

A mapping needs the columns' names and what their values look like, which some ten thousand rows tell
as well as ten million. So the largest file costs no more memory and time than a moderate one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

READ_BYTES = 2 << 20
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Sample:
    """The first bytes of a file, and how many it has in all."""

    data: bytes
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether the file goes on where `data` ends, maybe in the middle of a row or a letter."""
        return self.size > len(self.data)


def read_sample(stream: BinaryIO, size: Callable[[], int]) -> Sample:
    """Read a stream's beginning. `size` is asked only for a file that is not read to its end."""
    data = bytearray()
    while len(data) <= READ_BYTES and (chunk := stream.read(CHUNK_BYTES)):
        data += chunk
    if len(data) <= READ_BYTES:
        return Sample(bytes(data), len(data))
    return Sample(bytes(data[:READ_BYTES]), max(size(), len(data)))
