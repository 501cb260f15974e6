"""Feedback in segments, read one segment after the other: of a million only some thousand are in memory at once."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.learning.feedback import Entry
from core.learning.learner import Learner
from core.learning.models.pointer import Segment
from core.learning.segments import Segments
from core.learning.time_limit import TimeLimit


@dataclass(frozen=True, slots=True)
class KeptFeedback:
    """The feedback of a task that these segments hold. Methods raise UntrustedError, NotFoundError."""

    of_task: Segments
    segments: Sequence[Segment]

    async def newest(self, after: int, most: int) -> list[Entry]:
        """Return the newest entries after a number: `most`, or a third of all that there are, if that is less."""
        found = list[Entry]()
        for segment in reversed(self.segments):
            if segment.last <= after or len(found) >= most:
                break
            entries = await self.of_task.read([segment])
            found = [one for one in entries if one.number > after] + found
        third = max(1, sum(map(_size, self.segments)) // 3)
        return found[-min(most, third) :]

    async def teach(
        self, learner: Learner, limit: TimeLimit, after: int = 0, before: float = math.inf
    ) -> int:
        """Have a learner take the entries between two numbers; return how many there was no time for, the oldest.

        A segment that is passed over as a whole is not even read.
        """
        parts = [one for one in self.segments if one.last > after and one.first < before]
        left, passed_over = sum(map(_size, parts)), 0
        for segment in parts:
            many = _size(segment)
            left -= many
            if limit.too_many(left + many) >= many:
                passed_over += many
                continue
            entries = await self.of_task.read([segment])
            entries = [one for one in entries if after < one.number < before]
            passed_over += await asyncio.to_thread(limit.learn, learner, entries, left)
        return passed_over


def _size(segment: Segment) -> int:
    """Return about how many entries a segment has: some may have been taken away."""
    return segment.last - segment.first + 1
