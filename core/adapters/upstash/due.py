"""What is due over Redis: two levels, so that a look costs the same at any number of tenants.

The index of a partition holds its tenants by when to look into the due set of each. It may be
early for a tenant, never late: whatever makes something due earlier lowers it in the same script, and
a look that finds nothing raises it. A tenant that was served while more of it is due gets the
present time for its place, and so comes after those that waited.

A look goes on past tenants that have nothing due, as long as its script raises their places. The
places may be read from a replica that is behind: then the script changes nothing, and the look ends.
It begins with any partition, so that none is served last each time.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.adapters.upstash.calls import ScriptCall, ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import Turn
from core.due_loop import Due

MOST_TENANTS = 100  # in one script
MOST_SCRIPTS = 100  # in one look
Item = TypeVar("Item")
Places = list[tuple[str, float]]  # tenants by when to look at them (ms), the earliest first


@dataclass(frozen=True, slots=True)
class DueKind(Generic[Item]):
    """One kind of what is due, and the script that leases it.

    `index` is the index of a partition, by its tag; `of_tenant` are the keys that the script takes
    of a tenant; `read` reads the script's list of what it has leased.
    """

    index: Callable[[str], str]
    of_tenant: Callable[[str], tuple[str, ...]]
    lease: Callable[[Turn], ScriptCall]
    read: Callable[[list[str]], list[tuple[str, Item]]]


@dataclass(slots=True)
class Leased(Generic[Item]):
    """What scripts leased; for how many ms nothing more is due of the tenants, if anything will be.

    `moved` says whether they changed anything in the index.
    """

    items: list[tuple[str, Item]] = field(default_factory=list[tuple[str, Item]])
    left_ms: list[float] = field(default_factory=list[float])
    moved: bool = False


class DueIndex(Generic[Item]):
    """Leases what is due of one kind, in all partitions."""

    def __init__(
        self, redis: Commands, runner: ScriptRunner, keys: Keyspace, kind: DueKind[Item]
    ) -> None:
        self._redis, self._runner, self._kind = redis, runner, kind
        self._indexes = {tag: kind.index(tag) for tag in keys.all_tags()}

    async def lease(
        self, limit: int, per_tenant: int, lease_ms: int, tenants: int | None = None
    ) -> Due[Item]:
        """Lease what is due: TIME and a ZRANGE per partition, and a script where there is any.

        So many `tenants` of a partition are looked at together, without it as many as there is room for.
        """
        scripts_left = MOST_SCRIPTS
        while True:
            leased = await self._look(limit, per_tenant, lease_ms, tenants or limit)
            next_ms = max(0, round(min(leased.left_ms))) if leased.left_ms else None
            scripts_left -= 1
            if leased.items or next_ms != 0 or not (leased.moved and scripts_left):
                return Due(leased.items, next_ms)

    async def _look(self, limit: int, per_tenant: int, lease_ms: int, tenants: int) -> Leased[Item]:
        """Lease of the first tenants of each partition."""
        most = min(tenants, MOST_TENANTS)
        now, partitions = await self._earliest(most)
        leased, first = Leased[Item](), random.randrange(len(partitions))  # noqa: S311  # whose turn it is
        for tag, places in [*partitions.items()][first:] + [*partitions.items()][:first]:
            room = limit - len(leased.items)
            due = [tenant for tenant, at in places[:most] if at <= now and room]
            leased.left_ms += [at - now for _, at in places[len(due) :]][:1]
            if due:
                await self._lease(leased, self._turn(tag, due, room, per_tenant, lease_ms))
        return leased

    async def _earliest(self, most: int) -> tuple[float, dict[str, Places]]:
        """Return the store's time (ms), and of each partition the tenants to look at first.

        One more than `most` of each, by which it is known when there is something to do again.
        """
        indexes = self._indexes
        ranges = [["ZRANGE", index, 0, most, "WITHSCORES"] for index in indexes.values()]
        time, *replies = await self._redis.pipeline([["TIME"], *ranges])
        places = [member_scores(reply) for reply in replies]
        return int(time[0]) * 1000 + int(time[1]) / 1000, dict(zip(indexes, places, strict=True))

    def _turn(
        self, tag: str, tenants: list[str], limit: int, per_tenant: int, lease_ms: int
    ) -> Turn:
        keys = [key for tenant in tenants for key in self._kind.of_tenant(tenant)]
        return Turn(self._indexes[tag], keys, tenants, limit, per_tenant, lease_ms)

    async def _lease(self, leased: Leased[Item], turn: Turn) -> None:
        """Add what one script leases."""
        texts, next_ms, moved = await self._runner.run(self._kind.lease(turn))
        leased.items += self._kind.read(texts)
        leased.left_ms += [float(next_ms)] if next_ms else []
        leased.moved = leased.moved or bool(moved)


def member_scores(reply: list[Any]) -> Places:
    """Return members and scores, which come in turn, or in pairs as the SDK has them."""
    if reply and not isinstance(reply[0], str):
        return [(member, float(score)) for member, score in reply]
    return list(zip(reply[::2], map(float, reply[1::2]), strict=True))
