"""UsageBook over Redis: one script for the calls of a day, however many they are."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

from core.adapters.upstash import scripts
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.keys import Keyspace
from core.costs.recording import RecordedCall, batch_digest
from core.costs.rollup import DAY_MS, HOUR_MS
from core.crews import clock

ID_DIGITS = 20  # hex, of an id's hash: of ten million ids, two alike in one of 10^10 months


NotNew = Literal["known", "conflict"]


class UpstashUsageBook:
    """Counts calls made elsewhere, where those of flows are counted."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._keys = keys or Keyspace()
        self._scripts = runner or ScriptRunner(redis)
        self._now_ms = now_ms

    async def record(self, tenant: str, calls: Sequence[RecordedCall]) -> dict[str, NotNew]:
        """Count calls, those of one day after those of another."""
        by_day = defaultdict[int, list[RecordedCall]](list)
        for call in calls:
            by_day[call.at_ms // DAY_MS].append(call)
        told, batch = dict[str, NotNew](), batch_digest(calls)
        for day, of_day in sorted(by_day.items()):
            told |= await self._record_day(tenant, day, of_day, batch)
        return told

    async def _record_day(
        self, tenant: str, day: int, calls: list[RecordedCall], batch: str
    ) -> dict[str, NotNew]:
        record = scripts.record_usage(
            self._keys.day_keys(tenant, day),
            *self._keys.call_ids(tenant, self._now_ms()),
            batch=batch,
            calls=[
                {
                    "id": _hash(call.id),
                    "hour": call.at_ms // HOUR_MS,
                    "cell": list(call.names),
                    "used": {name: n for name, n in call.usage.public().items() if n},
                    "facts": dict(call.facts),
                    "digest": call.digest,
                }
                for call in calls
            ],
        )
        fates: list[NotNew | Literal["new"]] = await self._scripts.run(record)
        pairs = zip(calls, fates, strict=True)
        return {call.id: fate for call, fate in pairs if fate != "new"}


def _hash(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:ID_DIGITS]
