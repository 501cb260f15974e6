"""Definitions over Redis: stored once for all flows that have the same, read once by a process."""

import json
from collections import OrderedDict
from typing import Any

from core.adapters.upstash import records
from core.adapters.upstash.commands import Commands, at_leader
from core.adapters.upstash.keys import Keyspace
from core.errors import NotFoundError, UnavailableError
from core.flows import Flow

KEPT = 64


class Definitions:
    """Reads definitions by their digest, and keeps the latest."""

    def __init__(self, redis: Commands, keys: Keyspace) -> None:
        self._redis, self._keys = redis, keys
        self._known: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    async def get(self, tenant: str, digest: str) -> dict[str, Any]:
        """Return the definition of a flow that is kept.

        A replica may have the flow and not yet what came with it. Raises UnavailableError.
        """
        known = self._known.get((tenant, digest))
        if known is None:
            read = ["HGET", self._keys.definitions(tenant), digest]
            text = await self._redis.execute(read) or await self._redis.execute(at_leader(read))
            if not text:
                raise UnavailableError("the definition is not there yet")
            known = self._known[tenant, digest] = json.loads(text)
        self._known.move_to_end((tenant, digest))
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known

    async def flow(self, tenant: str, flow: str, reply: Any) -> Flow:
        """Return the flow of a reply to HGETALL with its definition. Raises NotFoundError."""
        fields = records.as_dict(reply)
        if not fields:
            raise NotFoundError(f"no flow {flow}")
        definition = await self.get(tenant, fields["definition_digest"])
        return records.flow(flow, fields, definition)
