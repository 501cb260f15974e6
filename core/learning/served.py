"""The learners of a process: those that were used last, of which no tenant takes another's room.

A task of which there is nothing takes no learner, whoever asks of it: of those only is kept when that was
last seen, so that a made-up name costs one look at the object store each 15 seconds, and a few bytes.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass

from core.learning.following import Served

MOST_BYTES = 512 << 20  # of all learners of a process
MOST_NOTHING = 10_000  # tasks of which there is nothing

Key = tuple[str, str]  # tenant and task


@dataclass(frozen=True, slots=True)
class _Nothing:
    """When a task was last seen to have nothing, and what was wrong with the store then."""

    checked_at: float
    degraded: str


class ServedLearners:
    """Learners by tenant and task."""

    def __init__(self) -> None:
        self._served: OrderedDict[Key, Served] = OrderedDict()
        self._nothing: OrderedDict[Key, _Nothing] = OrderedDict()

    def get(self, key: Key) -> Served:
        """Return a task's learner; a new one where there is none."""
        if (there := self._served.get(key)) is not None:
            return there
        seen = self._nothing.get(key)
        return Served(checked_at=seen.checked_at, degraded=seen.degraded) if seen else Served()

    def keep(self, key: Key, served: Served, *, has_grown: bool) -> None:
        """Keep a learner that was used now, unless it is one of nothing."""
        if served.is_of_nothing:
            self._served.pop(key, None)
            self._nothing[key] = _Nothing(served.checked_at, served.degraded)
            self._nothing.move_to_end(key)
            if len(self._nothing) > MOST_NOTHING:
                self._nothing.popitem(last=False)
            return
        self._nothing.pop(key, None)
        has_grown = has_grown or key not in self._served
        self._served[key] = served
        self._served.move_to_end(key)
        if has_grown:
            self._make_room()

    def _make_room(self) -> None:
        """While there is too much, drop of the tenant that has most what it used longest ago, but not the last one.

        Of tenants that have as much, it is the one that has grown.
        """
        sizes = {key: one.learner.size_bytes for key, one in self._served.items()}
        total, last = sum(sizes.values()), sizes.popitem()[0]
        of_tenants = Counter[str]()
        for (tenant, _), size in sizes.items():
            of_tenants[tenant] += size
        of_tenants[last[0]] += total - sum(of_tenants.values())
        while total > MOST_BYTES and sizes:
            tenants = {tenant for tenant, _ in sizes}
            largest = max(tenants, key=lambda one: (of_tenants[one], one == last[0]))
            key = next(key for key in sizes if key[0] == largest)
            size = sizes.pop(key)
            of_tenants[largest] -= size
            total -= size
            del self._served[key]
