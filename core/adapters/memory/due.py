"""The due set in memory: when each flow that has not ended must be looked at, tenants in turn."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from core.due_loop import Due


@dataclass(slots=True)
class Plan:
    """When a flow must be looked at (ms): the earliest of all these.

    `leases` says of each step until when nobody else can claim it; `look` when somebody must look
    at the flow as a whole, who knows its state of version `seen` or a later one.
    """

    due: int
    leases: dict[str, int] = field(default_factory=dict[str, int])
    look: int | None = None
    seen: int = 0

    def look_by(self, at: int, version: int) -> None:
        """Somebody must look at the flow by then, knowing at least this version of its state."""
        self.look, self.seen = at if self.look is None else min(self.look, at), version

    def looked(self, seen: int) -> None:
        """Somebody looks at the flow who knows its state of this version."""
        if seen >= self.seen:
            self.look = None

    def next_look(self, now: int, *, steps: Collection[str], deadline: int | None) -> int:
        """Return when the flow must be looked at, its deadline at the latest; for the leases of `steps`."""
        times = [lease for step, lease in self.leases.items() if step in steps]
        if self.look is not None:
            times.append(self.look)
        at = min(times, default=now)
        return at if deadline is None else min(at, deadline)


class DueSet:
    """Flows by when to look at them; whichever tenant was served longest ago comes first."""

    def __init__(self) -> None:
        self._due: dict[str, dict[str, int]] = defaultdict(dict)
        self._served: dict[str, int] = {}
        self._turn = 0

    def put(self, tenant: str, flow: str, at: int) -> None:
        """Have a flow looked at at this time, be that earlier or later than before."""
        self._due[tenant][flow] = at

    def remove(self, tenant: str, flow: str) -> None:
        """Never look at a flow again."""
        self._due[tenant].pop(flow, None)

    def at(self, tenant: str, flow: str) -> int | None:
        """Return when a flow is to be looked at."""
        return self._due[tenant].get(flow)

    def lease(self, now: int, limit: int, per_tenant: int, lease_ms: int) -> Due[str]:
        """Lease what is due."""
        taken: list[tuple[str, str]] = []
        for tenant in sorted(self._due, key=lambda t: self._served.get(t, 0)):
            share = min(per_tenant, limit - len(taken))
            due = sorted((at, flow) for flow, at in self._due[tenant].items() if at <= now)[:share]
            for _, flow in due:
                taken.append((tenant, flow))
                self._due[tenant][flow] = now + lease_ms
            if due:
                self._turn += 1
                self._served[tenant] = self._turn
        return Due(taken, self._next_ms(now))

    def _next_ms(self, now: int) -> int | None:
        soonest = min((at for flows in self._due.values() for at in flows.values()), default=None)
        return None if soonest is None else max(0, soonest - now)
