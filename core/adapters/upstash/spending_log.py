"""SpendingLog over Redis: cells of roll-ups, a hash for each day, and what flows have used."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from core import cpu
from core.adapters.upstash import cost_records, records
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.flow_list import FlowList
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.costs.cells import Cell
from core.costs.flow_costs import FlowCost
from core.costs.rollup import NOBODY
from core.costs.spending_log import PIECE_CELLS

T = TypeVar("T")
_CELL_BYTES = 256  # about: its name, and its sums as JSON
Field = tuple[str, str, str]  # of a roll-up: its day, name and value


class UpstashSpendingLog:
    """What tenants have spent, as the scripts counted it that settle calls."""

    def __init__(self, redis: Commands, keys: Keyspace) -> None:
        self._redis, self._keys = redis, keys

    async def pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[Cell]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        """Yield `work` of the cells of these days."""

        def worked(fields: Sequence[Field]) -> T:
            return work(cost_records.cells(fields, hours=hours))

        async for each in self._read_pieces(tenant, days, worked, hours):
            yield each

    async def _read_pieces(
        self, tenant: str, days: Sequence[str], work: Callable[[Sequence[Field]], T], hours: bool
    ) -> AsyncIterator[T]:
        """Yield `work` of the fields of these days, of PIECE_CELLS at most.

        One day is read first, and then as many in a request as are likely to have so many fields: a
        reply is in memory as a whole.
        """
        at = count = 0
        size = 1
        while at < len(days):
            some = days[at : at + size]
            keys = [self._keys.spend(tenant, day, hours=hours) for day in some]
            replies = await self._redis.pipeline([["HGETALL", key] for key in keys])
            fields = [
                (day, name, value)
                for day, reply in zip(some, replies, strict=True)
                for name, value in as_dict(reply).items()
            ]
            for begin in range(0, len(fields), PIECE_CELLS):
                piece = fields[begin : begin + PIECE_CELLS]
                yield await cpu.run(tenant, work, piece, len(piece) * _CELL_BYTES)
            count, at = max(count, len(fields) // len(some)), at + len(some)
            size = max(1, min(size * 4, PIECE_CELLS // max(1, count)))

    async def by_flow(
        self, tenant: str, since_ms: int, until_ms: int, limit: int, before: int | None = None
    ) -> list[FlowCost]:
        """Return flows; their order is the time of their creation (us)."""
        until = until_ms * 1000 if before is None else min(before, until_ms * 1000)
        fields = "order", "crew", "launched_by", "created", "usage"
        lines = await FlowList(self._redis, self._keys).newest(
            tenant, fields, limit, until, since_ms * 1000
        )
        return [
            FlowCost(
                flow, crew, who or NOBODY, int(created), int(order), records.usage(used or "{}")
            )
            for flow, (order, crew, who, created, used) in lines
        ]
