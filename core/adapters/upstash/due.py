"""What is due over Redis: two levels, so that a look costs the same at any number of tenants.

The index of a partition holds its tenants by when to look into the due set of each. It may be
early for a tenant, never late: whatever makes something due earlier lowers it in the same script, and
a look that finds nothing raises it. A tenant that was served while more of it is due gets the
present time for its place, and so comes after those that waited.

A look goes on past tenants that have nothing due, as long as its script raises their places. The
places may be read from a replica that is behind: then the script changes nothing, and the look ends.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.adapters.upstash import scripts
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.crews.ledger import DueFlows

MOST_TENANTS = 100  # in one script
MOST_SCRIPTS = 100  # in one look
Item = TypeVar("Item")
Places = list[tuple[str, float]]  # tenants by when to look at them (ms), the earliest first


@dataclass(slots=True)
class Taken(Generic[Item]):
    """What scripts took; for how many ms nothing more is due of the tenants, if anything will be.

    `moved` says whether it changed anything in the index.
    """

    items: list[Item] = field(default_factory=list[Item])
    left_ms: list[float] = field(default_factory=list[float])
    moved: bool = False


# Of a partition and tenants of it, at most so many.
TakeOf = Callable[[str, list[str], int], Awaitable[Taken[Item]]]


async def take_due(
    redis: Commands, indexes: Mapping[str, str], limit: int, take_of: TakeOf[Item]
) -> tuple[list[Item], int | None]:
    """Take what is due: TIME and a ZRANGE per partition, and a script where there is any.

    `indexes` are the keys of the indexes by the tag of their partition. Returns as well for how many
    ms there is nothing more to do (None: nothing waits).
    """
    most, scripts_left = min(limit, MOST_TENANTS), MOST_SCRIPTS
    while True:
        taken = await _take_once(redis, indexes, limit, most, take_of)
        next_ms = max(0, round(min(taken.left_ms))) if taken.left_ms else None
        scripts_left -= 1
        if taken.items or next_ms != 0 or not (taken.moved and scripts_left):
            return taken.items, next_ms


async def _take_once(
    redis: Commands, indexes: Mapping[str, str], limit: int, most: int, take_of: TakeOf[Item]
) -> Taken[Item]:
    """Take from the first `most` tenants of each partition."""
    now, partitions = await _earliest(redis, indexes, most)
    taken = Taken[Item]()
    for tag, places in partitions.items():
        room = limit - len(taken.items)
        due = [tenant for tenant, at in places[:most] if at <= now and room]
        taken.left_ms += [at - now for _, at in places[len(due) :]][:1]
        if due:
            more = await take_of(tag, due, room)
            taken.items += more.items
            taken.left_ms += more.left_ms
            taken.moved = taken.moved or more.moved
    return taken


async def _earliest(
    redis: Commands, indexes: Mapping[str, str], most: int
) -> tuple[float, dict[str, Places]]:
    """Return the store's time (ms), and of each partition the tenants to look at first.

    One more than `most` of each, by which it is known when there is something to do again.
    """
    ranges = [["ZRANGE", index, 0, most, "WITHSCORES"] for index in indexes.values()]
    time, *replies = await redis.pipeline([["TIME"], *ranges])
    places = [_pairs(reply) for reply in replies]
    return int(time[0]) * 1000 + int(time[1]) / 1000, dict(zip(indexes, places, strict=True))


def _pairs(reply: list[Any]) -> Places:
    """Return members and scores, which come in turn, or in pairs as the SDK has them."""
    if reply and not isinstance(reply[0], str):
        return [(member, float(score)) for member, score in reply]
    return list(zip(reply[::2], map(float, reply[1::2]), strict=True))


class DueIndex:
    """Takes the flows that are due."""

    def __init__(self, redis: Commands, runner: ScriptRunner, keys: Keyspace) -> None:
        self._redis, self._runner, self._keys = redis, runner, keys

    async def take(self, limit: int, per_tenant: int, lease_ms: int) -> DueFlows:
        """Lease what is due."""

        async def of(tag: str, tenants: list[str], room: int) -> Taken[tuple[str, str]]:
            return await self._take(tag, tenants, room, per_tenant, lease_ms)

        indexes = {tag: self._keys.due_index(tag) for tag in self._keys.all_tags()}
        return DueFlows(*await take_due(self._redis, indexes, limit, of))

    async def _take(
        self, tag: str, tenants: list[str], limit: int, per_tenant: int, lease_ms: int
    ) -> Taken[tuple[str, str]]:
        keys = [
            key
            for tenant in tenants
            for key in (
                self._keys.due(tenant),
                self._keys.flows(tenant),
                self._keys.definitions(tenant),
            )
        ]
        call = scripts.take(
            self._keys.due_index(tag),
            keys,
            tenants=tenants,
            limit=limit,
            per_tenant=per_tenant,
            lease_ms=lease_ms,
        )
        taken, soonest, moved = await self._runner.run(call)
        flows = list(zip(taken[::2], taken[1::2], strict=True))
        return Taken(flows, [float(soonest)] if soonest else [], bool(moved))
