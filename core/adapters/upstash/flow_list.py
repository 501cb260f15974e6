"""The list of a tenant's flows, newest first, with fields of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace

Line = tuple[str, list[Any]]  # a flow, and its fields


@dataclass(frozen=True, slots=True)
class FlowList:
    """Reads a range of ids, then one HMGET for each in a pipeline."""

    redis: Commands
    keys: Keyspace

    async def newest(
        self,
        tenant: str,
        fields: Sequence[str],
        limit: int,
        before: int | None = None,
        since: int | None = None,
    ) -> list[Line]:
        """Return flows whose place in the order of creation is below `before`, and not below `since`.

        A flow that has expired is still listed for a while; then more of the list is read.
        """
        newest = "+inf" if before is None else f"({before}"
        oldest = "-inf" if since is None else since
        found, key = list[Line](), self.keys.flows(tenant)
        while True:
            wanted = limit - len(found)
            flows: list[str] = await self.redis.execute(
                ["ZREVRANGEBYSCORE", key, newest, oldest, "LIMIT", 0, wanted]
            )
            found += await self._lines(tenant, flows, fields)
            if len(found) == limit or len(flows) < wanted:
                return found
            order = await self.redis.execute(["ZSCORE", key, flows[-1]])
            if order is None:
                return found
            newest = f"({order}"

    async def _lines(self, tenant: str, flows: list[str], fields: Sequence[str]) -> list[Line]:
        if not flows:
            return []
        read = [["HMGET", self.keys.flow(tenant, flow), "order", *fields] for flow in flows]
        replies = await self.redis.pipeline(read)
        lines = zip(flows, replies, strict=True)
        return [(flow, values) for flow, (order, *values) in lines if order]  # not expired
